"""What a neighbour's error reply becomes."""

import httpx
import pytest
from shared_clients.http import ServiceClient, upstream_error
from shared_models.errors import Refusal, UpstreamRejected, UpstreamUnavailable

PROBLEM = {
    "type": "https://self-service-agent.example/problems/not_found",
    "title": "There is no such thing here.",
    "status": 404,
    "detail": "",
    "code": "not_found",
    "hint": "Check the id.",
    "request_id": "r-1",
}


def reply(status: int, **given: object) -> httpx.Response:
    headers = {"content-type": str(given.get("content_type", "application/problem+json"))}
    if "retry_after" in given:
        headers["retry-after"] = str(given["retry_after"])
    content = given.get("content")
    request = httpx.Request("GET", "http://neighbour/api")
    if isinstance(content, bytes):
        return httpx.Response(status, content=content, headers=headers, request=request)
    return httpx.Response(status, json=content, headers=headers, request=request)


def test_a_problem_becomes_a_rejection_with_its_words() -> None:
    error = upstream_error(reply(404, content=PROBLEM))
    assert isinstance(error, UpstreamRejected)
    assert error.refusal == Refusal(404, "not_found", "There is no such thing here.", "Check the id.", "r-1")
    assert (error.upstream_status, error.upstream_code) == (404, "not_found")


def test_a_transient_problem_keeps_its_words_and_the_time_to_wait() -> None:
    error = upstream_error(reply(429, content=PROBLEM | {"code": "too_many_requests"}, retry_after=7))
    assert isinstance(error, UpstreamUnavailable)
    assert error.retry_after_s == 7
    assert error.refusal is not None
    assert error.refusal.code == "too_many_requests"


@pytest.mark.parametrize(("retry_after", "seconds"), [("999999999", 3600.0), ("²", None)])
def test_nobody_makes_us_wait_for_longer_than_an_hour(retry_after: str, seconds: float | None) -> None:
    headers = {b"retry-after": retry_after.encode("latin-1")}
    request = httpx.Request("GET", "http://neighbour/api")
    error = upstream_error(httpx.Response(503, headers=headers, request=request))
    assert isinstance(error, UpstreamUnavailable)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b'"text"', b"\xff"])
def test_an_unreadable_problem_still_tells_the_status(content: bytes) -> None:
    error = upstream_error(reply(400, content=content))
    assert isinstance(error, UpstreamRejected)
    assert error.refusal == Refusal(400)


def test_a_body_that_is_no_problem_is_not_read() -> None:
    error = upstream_error(reply(502, content=PROBLEM, content_type="application/json"))
    assert error.refusal == Refusal(502)


async def test_no_answer_at_all_has_no_refusal() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        client = ServiceClient(http, "http://neighbour", lambda: "token")
        with pytest.raises(UpstreamUnavailable) as caught:
            await client.call("GET", "/api", tries=1)
    assert caught.value.refusal is None
