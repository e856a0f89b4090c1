"""Retries without a word."""

import httpx
import pytest
from shared_clients.http import ServiceClient, quiet_retries


async def test_quiet_retries_are_made_and_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    replies = [httpx.Response(503), httpx.Response(200)]
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: replies.pop(0))) as http:
        with quiet_retries():
            reply = await ServiceClient(http, "http://neighbour", lambda: "token").call("GET", "/api")
    assert (reply.status_code, replies) == (200, [])
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
