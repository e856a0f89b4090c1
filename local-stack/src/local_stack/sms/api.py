"""The provider's API: send a message, list messages, read the account. In Twilio's shape, and as closed as Twilio's."""

import base64
import binascii
import hmac
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from local_stack.sms.rules import ApiError
from local_stack.sms.standin import Sms, SmsStandin

VERSION = "2010-04-01"
MAX_PAGE_SIZE = 1000


def api(standin: SmsStandin) -> APIRouter:
    router = APIRouter(prefix=f"/{VERSION}/Accounts")

    @router.post("/{account}/Messages.json")
    async def send(account: str, request: Request) -> Response:
        check_account(standin, account, request)
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=50))
        return JSONResponse(shown(standin, standin.send(form)), 201)

    @router.get("/{account}/Messages.json")
    async def list_messages(account: str, request: Request) -> Response:
        check_account(standin, account, request)
        return JSONResponse(page(standin, dict(request.query_params)))

    @router.get("/{account}.json")
    async def read_account(account: str, request: Request) -> Response:
        check_account(standin, account, request)
        return JSONResponse({"sid": account, "status": "active", "type": "Full", "friendly_name": "Stand-in"})

    return router


async def on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    return JSONResponse(error.body, error.status, headers=headers)


def check_account(standin: SmsStandin, account: str, request: Request) -> None:
    """Raises ApiError 401, or 404 for another account."""
    expected = f"{standin.settings.account_sid}:{standin.settings.auth_token.get_secret_value()}".encode()
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(given, validate=True)
    except binascii.Error:
        decoded = b""
    if scheme.lower() != "basic" or not hmac.compare_digest(decoded, expected):
        raise ApiError(401, 20003, "Authenticate")
    if account != standin.settings.account_sid:
        raise ApiError(404, 20404, f"The requested resource /{VERSION}/Accounts/{account} was not found")


def page(standin: SmsStandin, query: dict[str, str]) -> dict[str, object]:
    """One page of messages, the newest first. `DateSent`, `DateSent>` and `DateSent<` are days in UTC, both ends included."""
    size = min(int(query.get("PageSize", "50")), MAX_PAGE_SIZE)
    number = int(query.get("Page", "0"))
    found = [each for each in reversed(standin.kept.messages) if _fits(standin, each, query)]
    rows = found[number * size : (number + 1) * size]
    path = f"/{VERSION}/Accounts/{standin.settings.account_sid}/Messages.json"
    is_last = len(found) <= (number + 1) * size
    following = None if is_last else f"{path}?{urlencode(query | {'Page': str(number + 1)})}"
    return {
        "messages": [shown(standin, each) for each in rows],
        "page": number,
        "page_size": size,
        "next_page_uri": following,
    }


def _fits(standin: SmsStandin, sms: Sms, query: dict[str, str]) -> bool:
    day = sms.created_at.date().isoformat()
    to = standin.settings.number if sms.direction == "inbound" else sms.phone
    return (
        query.get("To", to) == to
        and query.get("DateSent", day) == day
        and query.get("DateSent>", day) <= day
        and query.get("DateSent<", day) >= day
    )


def shown(standin: SmsStandin, sms: Sms) -> dict[str, object]:
    ours = standin.settings.number
    is_inbound = sms.direction == "inbound"
    at = format_datetime(sms.created_at)
    return {
        "sid": sms.sid,
        "account_sid": standin.settings.account_sid,
        "from": sms.phone if is_inbound else ours,
        "to": ours if is_inbound else sms.phone,
        "body": sms.body,
        "status": sms.status,
        "direction": sms.direction,
        "error_code": sms.error_code,
        "date_created": at,
        "date_sent": None if sms.status == "queued" else at,
        "date_updated": at,
        "api_version": VERSION,
    }
