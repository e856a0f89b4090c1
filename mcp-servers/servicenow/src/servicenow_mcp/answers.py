"""Reads ServiceNow's HTTP answers: which fault a status or a page means. Pure functions.

Source: ServiceNow, REST API HTTP response codes. A developer instance that sleeps answers 200 with a page of HTML, or
redirects to the developer site."""

import re
from typing import Any

import httpx
import orjson

from servicenow_mcp.errors import (
    BrokenOff,
    Busy,
    Down,
    Effect,
    Hibernating,
    NotAuthenticated,
    NotPermitted,
    Rejected,
    ServiceNowFault,
    Unusable,
)

MAX_RETRY_AFTER_S = 3600.0
HIBERNATING = re.compile(rb"hibernat", re.IGNORECASE)
DEVELOPER_SITE = "developer.servicenow.com"


def fault_of(reply: httpx.Response, what: str, effect: Effect) -> ServiceNowFault | None:
    """Return the fault that the answer means, or None for a good JSON answer. `effect`: what a broken answer leaves open."""
    if _is_hibernating(reply):
        return Hibernating(f"{what}: the instance is hibernating")
    status = reply.status_code
    told = f"{what}: {status} {_told(reply)}".rstrip()
    match status:
        case 401:
            return NotAuthenticated(told)
        case 403:
            return NotPermitted(told)
        case 429:
            return Busy(told, retry_after_s(reply))
        case _ if reply.is_redirect:
            return Unusable(f"{told}; redirected, is SERVICENOW_INSTANCE_URL right?")
        case _ if reply.is_client_error:
            return Rejected(told, status)
        case 502 | 504:
            return BrokenOff(told, effect=effect)
        case _ if reply.is_server_error:
            return Down(told, effect=effect)
        case _ if not reply.is_success:
            return Unusable(told, effect=effect)
    return None


def json_of(reply: httpx.Response, what: str, effect: Effect) -> dict[str, Any]:
    """Return the body as a JSON object. Raises Unusable."""
    try:
        payload = orjson.loads(reply.content)
    except orjson.JSONDecodeError as exc:
        kind = reply.headers.get("content-type", "no content type")
        raise Unusable(f"{what}: not JSON but {kind}", effect=effect) from exc
    if not isinstance(payload, dict):
        raise Unusable(f"{what}: JSON, but no object", effect=effect)
    return payload


def error_message(payload: dict[str, Any]) -> str:
    """Return the message of ServiceNow's error object, shortened; it is for the log only."""
    error = payload.get("error")
    if not isinstance(error, dict):
        return ""
    return f"{error.get('message', '')}: {error.get('detail', '')}"[:200]


def retry_after_s(reply: httpx.Response) -> float | None:
    """Return the seconds of Retry-After, at most an hour; None when it is absent or a date."""
    value = reply.headers.get("retry-after", "")
    return min(float(value), MAX_RETRY_AFTER_S) if value.isdecimal() else None


def _told(reply: httpx.Response) -> str:
    try:
        payload = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        return ""
    return error_message(payload) if isinstance(payload, dict) else ""


def _is_hibernating(reply: httpx.Response) -> bool:
    if reply.is_redirect:
        return DEVELOPER_SITE in reply.headers.get("location", "")
    is_page = "json" not in reply.headers.get("content-type", "").lower()
    return is_page and HIBERNATING.search(reply.content) is not None
