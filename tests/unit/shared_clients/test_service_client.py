"""ServiceClient: which failures are tried again, what travels in headers, and that one client serves all calls."""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
import stamina
import structlog
from shared_clients.http import LeanClient, ServiceClient, create_http
from shared_clients.stream import ServerSentEvent, read_events
from shared_models.errors import UpstreamRejected, UpstreamUnavailable
from shared_models.telemetry import span

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def client(answer: Callable[[httpx.Request], httpx.Response]) -> ServiceClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return ServiceClient(http, "http://callee/", lambda: "token")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_passing_failure_is_tried_three_times(status: int) -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return httpx.Response(status, headers={"retry-after": "3"})

    with pytest.raises(UpstreamUnavailable) as caught:
        await client(answer).call("POST", "/x", body=b"{}")
    assert calls == ["/x"] * 3
    assert caught.value.retry_after_s == 3.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_a_refusal_is_final_and_names_its_code(status: int) -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        body = {"code": "session_ended", "title": "closed"}
        return httpx.Response(status, json=body, headers={"content-type": "application/problem+json"})

    with pytest.raises(UpstreamRejected) as caught:
        await client(answer).call("GET", "/x")
    assert calls == ["/x"]
    assert (caught.value.upstream_status, caught.value.upstream_code) == (status, "session_ended")


async def test_no_answer_is_tried_again_and_may_succeed() -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        if len(calls) < 3:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"ok": True})

    assert (await client(answer).call("GET", "/x")).json() == {"ok": True}


async def test_a_single_try_is_not_repeated() -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        raise httpx.ReadTimeout("slow")

    with pytest.raises(UpstreamUnavailable):
        await client(answer).call("POST", "/x", body=b"{}", tries=1)
    assert len(calls) == 1


async def test_token_trace_and_request_id_travel_along() -> None:
    seen: dict[str, str] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen.update(request.headers)
        return httpx.Response(200)

    with structlog.contextvars.bound_contextvars(http_id="abcdefgh"), span("x", traceparent=TRACE):
        await client(answer).call("GET", "/x")
    assert seen["authorization"] == "Bearer token"
    assert seen["traceparent"] == TRACE
    assert seen["x-request-id"] == "abcdefgh"


async def test_redirects_are_not_followed() -> None:
    http = create_http()
    assert http.follow_redirects is False
    assert http.trust_env is False
    await http.aclose()


async def test_an_error_of_the_way_names_its_request() -> None:
    class Away(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ReadError("cut")

    async with LeanClient(Away(), httpx.Timeout(1.0)) as http:
        with pytest.raises(httpx.ReadError) as caught:
            await http.get("http://callee/x")
    assert caught.value.request.url.path == "/x"


async def test_a_body_that_breaks_off_is_closed_and_told() -> None:
    class Cut(httpx.AsyncByteStream):
        is_closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"half of"
            raise httpx.ReadError("cut")

        async def aclose(self) -> None:
            self.is_closed = True

    cut = Cut()
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, stream=cut))
    async with LeanClient(transport, httpx.Timeout(1.0)) as http:
        with pytest.raises(httpx.ReadError):
            await http.get("http://callee/x")
    assert cut.is_closed


async def test_a_call_may_sign_in_by_itself() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=request.headers["authorization"]))
    async with LeanClient(transport, httpx.Timeout(1.0)) as http:
        assert (await http.get("http://callee/x", auth=("name", "word"))).text == "Basic bmFtZTp3b3Jk"


async def test_a_closed_client_sends_nothing() -> None:
    http = create_http()
    await http.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await http.get("http://callee/x")


async def test_parameters_are_part_of_the_address() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200)

    for limit in (1, 2):
        await client(answer).call("GET", "/x", params={"limit": limit, "cursor": "a b"})
    assert seen == ["http://callee/x?limit=1&cursor=a+b", "http://callee/x?limit=2&cursor=a+b"]


async def test_a_stream_of_events_is_read_with_ids_and_several_lines() -> None:
    events = [ServerSentEvent("delta", "a\nb", "1-1"), ServerSentEvent("answer", "{}", "1-2")]
    body = b": heartbeat\n\n" + b"".join(event.encode() for event in events)
    reply = httpx.Response(200, content=body)
    assert [event async for event in read_events(reply)] == events


async def test_a_cut_stream_is_an_error_not_an_end() -> None:
    class Cut(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"event: delta\ndata: x\n\n"
            raise httpx.ReadError("cut")

    with pytest.raises(UpstreamUnavailable):
        _ = [event async for event in read_events(httpx.Response(200, stream=Cut()))]
