"""One bounded call over plain HTTP, for what is not the product's API: the issuer, the open routes of a server."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from self_service_cli.failures import Failure, no_answer

TIMEOUT_S = 10.0
MAX_REPLY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Reply:
    status: int
    headers: httpx.Headers
    content: bytes


async def fetch(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Whatever the server answers, at most 4 MiB of it. Raises Failure: no answer (error), none in time (timeout)."""
    sent = {"accept": "application/json", **(headers or {})}
    try:
        async with http.stream(method, url, data=form, headers=sent, timeout=TIMEOUT_S) as reply:
            content = b""
            async for chunk in reply.aiter_bytes():
                content += chunk
                if len(content) > MAX_REPLY_BYTES:
                    raise Failure(f"{url} sent too much.", code="too_large")
            return Reply(reply.status_code, reply.headers, content)
    except httpx.TransportError as exc:
        raise no_answer(exc, url, "Check the address and the network.") from exc
