import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import SecretStr
from servicenow_mcp.access import Access, ApiKey, Basic, OAuth
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
    TimedOut,
    Unusable,
)
from servicenow_mcp.rest import MAX_ANSWER_BYTES, READ_ATTEMPTS, RestClient

BASE_URL = "http://servicenow.test"
KEY = ApiKey("x-sn-apikey", SecretStr("the-key"))
GOOD = httpx.Response(200, json={"result": []})
PAGE = "<html><body><h1>Your instance is hibernating</h1></body></html>"


@dataclass
class Script:
    """Answers calls in turn; the last answer repeats."""

    answers: list[httpx.Response | Exception]
    calls: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[min(len(self.calls), len(self.answers) - 1)]
        self.calls.append(request)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def client(
    script: Callable[[httpx.Request], httpx.Response], access: Access = KEY, timeout_s: float = 60.0
) -> RestClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(script))
    return RestClient(http, BASE_URL, access, timeout_s, pause_s=0.0)


def html(status: int, text: str) -> httpx.Response:
    return httpx.Response(status, headers={"content-type": "text/html"}, text=text)


BROKEN_ANSWERS: list[tuple[str, httpx.Response | Exception, type[ServiceNowFault]]] = [
    ("401", httpx.Response(401, json={"error": {"message": "User Not Authenticated"}}), NotAuthenticated),
    ("403", httpx.Response(403, json={"error": {"message": "ACL"}}), NotPermitted),
    ("403 page", html(403, "<html>no</html>"), NotPermitted),
    ("404", httpx.Response(404, json={"error": {"message": "No Record found"}}), Rejected),
    ("400", httpx.Response(400, json={"error": "odd"}), Rejected),
    ("429", httpx.Response(429), Busy),
    ("500", httpx.Response(500), Down),
    ("502", html(502, "<html>bad gateway</html>"), BrokenOff),
    ("503", httpx.Response(503), Down),
    ("hibernating", html(200, PAGE), Hibernating),
    ("hibernating 503", html(503, PAGE), Hibernating),
    (
        "developer site",
        httpx.Response(302, headers={"location": "https://developer.servicenow.com/dev.do"}),
        Hibernating,
    ),
    ("login page", httpx.Response(302, headers={"location": "https://sso.example/login"}), Unusable),
    ("html", html(200, "<html>Welcome</html>"), Unusable),
    ("not json", httpx.Response(200, headers={"content-type": "application/json"}, text="{"), Unusable),
    ("list", httpx.Response(200, json=[]), Unusable),
    ("no result", httpx.Response(200, json={"error": {"message": "odd", "detail": None}}), Unusable),
    ("deep", httpx.Response(200, content=b'{"result":' + b"[" * 100_000), Unusable),
    ("huge", httpx.Response(200, content=b" " * (MAX_ANSWER_BYTES + 1)), Unusable),
    ("connect", httpx.ConnectError("refused"), Down),
    ("cut off", httpx.ReadError("reset"), BrokenOff),
    ("read timeout", httpx.ReadTimeout("slow"), TimedOut),
]


@pytest.mark.parametrize(("answer", "kind"), [case[1:] for case in BROKEN_ANSWERS], ids=[c[0] for c in BROKEN_ANSWERS])
async def test_each_broken_answer_is_named(answer: httpx.Response | Exception, kind: type[ServiceNowFault]) -> None:
    with pytest.raises(ServiceNowFault) as caught:
        await client(Script([answer])).get("/api/now/table/sys_user")
    assert type(caught.value) is kind
    assert "/api/now/table/sys_user" in caught.value.cause
    assert caught.value.words[-1] == "."
    for internal in ("http", "sys_user", "401", "403", "500", "the-key", "error"):
        assert internal not in caught.value.words


async def test_an_answer_in_a_broken_encoding_is_named() -> None:
    def reply(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    with pytest.raises(BrokenOff):
        await client(reply).get("/x")


@pytest.mark.parametrize("passing", [httpx.Response(503), httpx.Response(429), httpx.ConnectError("refused")])
async def test_a_read_is_repeated_after_a_passing_fault(passing: httpx.Response | Exception) -> None:
    script = Script([passing, GOOD])
    assert (await client(script).get("/x")).result == []
    assert len(script.calls) == 2


async def test_a_read_is_not_repeated_for_ever() -> None:
    script = Script([httpx.Response(503)])
    with pytest.raises(Down):
        await client(script).get("/x")
    assert len(script.calls) == READ_ATTEMPTS


@pytest.mark.parametrize("final", [httpx.Response(403), httpx.Response(404), html(200, PAGE)])
async def test_a_final_answer_is_not_asked_for_again(final: httpx.Response) -> None:
    script = Script([final])
    with pytest.raises(ServiceNowFault):
        await client(script).get("/x")
    assert len(script.calls) == 1


async def test_a_retry_after_beyond_the_time_ends_the_call_at_once() -> None:
    script = Script([httpx.Response(429, headers={"retry-after": "3600"}), GOOD])
    with pytest.raises(Busy) as caught:
        await client(script).get("/x")
    assert caught.value.retry_after_s == 3600
    assert len(script.calls) == 1


async def test_a_retry_after_within_the_time_is_waited_for() -> None:
    script = Script([httpx.Response(429, headers={"retry-after": "0"}), GOOD])
    await client(script).get("/x")
    assert len(script.calls) == 2


async def test_a_write_is_never_repeated() -> None:
    script = Script([httpx.Response(503)])
    with pytest.raises(Down) as caught:
        await client(script).write("POST", "/x", {})
    assert caught.value.effect is Effect.UNKNOWN
    assert len(script.calls) == 1


@pytest.mark.parametrize(
    ("answer", "effect"),
    [
        (httpx.Response(400), Effect.NONE),
        (httpx.Response(401), Effect.NONE),
        (httpx.Response(403), Effect.NONE),
        (httpx.Response(429), Effect.NONE),
        (html(200, PAGE), Effect.NONE),
        (httpx.ConnectError("refused"), Effect.NONE),
        (httpx.Response(500), Effect.UNKNOWN),
        (httpx.Response(504), Effect.UNKNOWN),
        (html(200, "<html>odd</html>"), Effect.UNKNOWN),
        (httpx.ReadTimeout("slow"), Effect.UNKNOWN),
        (httpx.ConnectTimeout("what aiohttp's transport says of a lost connection, too"), Effect.UNKNOWN),
        (httpx.RemoteProtocolError("cut off"), Effect.UNKNOWN),
    ],
)
async def test_a_failed_write_says_whether_it_may_have_acted(
    answer: httpx.Response | Exception, effect: Effect
) -> None:
    with pytest.raises(ServiceNowFault) as caught:
        await client(Script([answer])).write("POST", "/x", {})
    assert caught.value.effect is effect


async def test_silence_ends_when_the_time_is_up() -> None:
    async def silent(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    http = httpx.AsyncClient(transport=httpx.MockTransport(silent))
    rest = RestClient(http, BASE_URL, KEY, timeout_s=0.02)
    with pytest.raises(TimedOut) as read:
        await rest.get("/x")
    with pytest.raises(TimedOut) as write:
        await rest.write("POST", "/x", {})
    assert (read.value.effect, write.value.effect) == (Effect.NONE, Effect.UNKNOWN)


async def test_an_api_key_travels_in_its_header_and_basic_in_authorization() -> None:
    script = Script([GOOD])
    await client(script).get("/x")
    await client(script, Basic("user", SecretStr("pass:word"))).get("/x")
    assert script.calls[0].headers["x-sn-apikey"] == "the-key"
    assert "authorization" not in script.calls[0].headers
    assert script.calls[1].headers["authorization"] == "Basic " + base64.b64encode(b"user:pass:word").decode()


@dataclass
class TokenEndpoint:
    """Issues numbered tokens and serves reads with the newest one only."""

    expires_in: float = 1800
    issued: int = 0
    accepted: int = 0
    broken: httpx.Response | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth_token.do":
            if self.broken is not None:
                return self.broken
            assert b"grant_type=client_credentials" in request.content
            self.issued += 1
            self.accepted = self.issued
            return httpx.Response(200, json={"access_token": f"token-{self.issued}", "expires_in": self.expires_in})
        good = request.headers["authorization"] == f"Bearer token-{self.accepted}"
        return httpx.Response(200, json={"result": []}) if good else httpx.Response(401)


@dataclass
class Seconds:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def oauth(clock: Seconds | None = None) -> OAuth:
    return OAuth(BASE_URL + "/oauth_token.do", "client", SecretStr("client-secret"), clock or Seconds())


async def test_a_token_is_fetched_once_and_kept_until_shortly_before_its_end() -> None:
    clock, endpoint = Seconds(), TokenEndpoint()
    rest = client(endpoint, oauth(clock))
    await asyncio.gather(*(rest.get("/x") for _ in range(10)))
    assert endpoint.issued == 1
    clock.now += 1769
    await rest.get("/x")
    assert endpoint.issued == 1
    clock.now += 1
    await rest.get("/x")
    assert endpoint.issued == 2


async def test_a_revoked_token_is_replaced_once() -> None:
    endpoint = TokenEndpoint()
    rest = client(endpoint, oauth())
    await rest.get("/x")
    endpoint.accepted = -1
    await rest.get("/x")
    assert endpoint.issued == 2


async def test_credentials_that_are_always_refused_end_as_not_authenticated() -> None:
    script = Script([httpx.Response(200, json={"access_token": "t"}), httpx.Response(401)] * 2)
    with pytest.raises(NotAuthenticated):
        await client(script, oauth()).get("/x")
    assert len(script.calls) == 4


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(401, json={"error": "access_denied"}), NotAuthenticated),
        (httpx.Response(200, text="<html>"), NotAuthenticated),
        (httpx.Response(200, json={"access_token": ""}), NotAuthenticated),
        (httpx.Response(503), Down),
        (httpx.Response(429), Busy),
    ],
)
async def test_a_broken_token_endpoint_is_named(answer: httpx.Response, kind: type[ServiceNowFault]) -> None:
    with pytest.raises(kind) as caught:
        await client(TokenEndpoint(broken=answer), oauth()).write("POST", "/x", {})
    assert caught.value.effect is Effect.NONE
    assert "client-secret" not in caught.value.cause
