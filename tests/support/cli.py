"""Running `ssa` in a test against a request-manager that answers by script and insists on its contract."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import stamina
from self_service_cli.app import app
from self_service_cli.command import Surroundings
from self_service_cli.keyring_store import SavedLogin
from shared_clients.stream import ServerSentEvent
from shared_models.api import RequestAccepted
from shared_models.enums import IntegrationType, RequestStatus
from shared_models.schemas import AgentRef, RequestResult, ResponseContent
from typer.testing import CliRunner, Result

URL = "http://127.0.0.1:8080"
TOKEN = "ssa_0a1b2c3d_the-token-that-nobody-may-see"
REQUEST_ID = UUID("01900000-0000-7000-8000-000000000001")
SESSION_ID = UUID("01900000-0000-7000-8000-000000000002")
AT = datetime(2026, 11, 23, 17, 40, tzinfo=UTC)
CLEAN_ENVIRONMENT: dict[str, str | None] = dict.fromkeys(
    ("SSA_URL", "NO_COLOR", "FORCE_COLOR", "SSA_OIDC_ISSUER", "SSA_OIDC_CLIENT_ID", "SSA_OIDC_SCOPE")
)

type Answer = httpx.Response | Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


@dataclass
class FakeLogins:
    """Logins in memory instead of the keyring."""

    kept: dict[str, SavedLogin] = field(default_factory=dict)

    def check(self) -> None:
        """There is room."""

    def get(self, url: str) -> SavedLogin | None:
        return self.kept.get(url)

    def save(self, url: str, login: SavedLogin) -> None:
        self.kept[url] = login

    def delete(self, url: str) -> bool:
        return self.kept.pop(url, None) is not None


@dataclass
class FakeRequestManager:
    """Answers each (method, path) with its replies in turn, the last one again and again; all else breaks the contract."""

    token: str = TOKEN
    scripted: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)
    calls: list[httpx.Request] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self.scripted[(method, path)] = list(answers)

    def asked(self, method: str, path: str) -> list[httpx.Request]:
        return [call for call in self.calls if (call.method, call.url.path) == (method, path)]

    def body(self, method: str, path: str, number: int = 0) -> Any:
        return json.loads(self.asked(method, path)[number].content)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        self._check(request)
        answers = self.scripted.get((request.method, request.url.path))
        if not answers:
            self.broken.append(f"unexpected: {request.method} {request.url.path}")
            return problem(404, "not_found")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not isinstance(answer, httpx.Response):
            given = answer(request)
            answer = given if isinstance(given, httpx.Response) else await given
        answer.request = request
        return answer

    def _check(self, request: httpx.Request) -> None:
        path, headers = request.url.path, request.headers
        is_open = path in ("/readyz", "/openapi.json")
        if not is_open and headers.get("authorization") != f"Bearer {self.token}":
            self.broken.append(f"{path}: not signed in as expected")
        if request.content and headers.get("content-type") != "application/json":
            self.broken.append(f"{path}: the body is not declared as JSON")
        asks = path.startswith("/api/v1/requests/") and path.rsplit("/", 1)[1] in ("cli", "retry")
        if asks and not (headers.get("idempotency-key") and headers.get("prefer")):
            self.broken.append(f"{path}: without Idempotency-Key or Prefer")


def reply(value: object, status: int = 200) -> httpx.Response:
    """A JSON reply of a Pydantic model or plain data."""
    dumped = getattr(value, "model_dump_json", None)
    content = dumped() if dumped else json.dumps(value)
    return httpx.Response(status, content=content, headers={"content-type": "application/json"})


def problem(status: int, code: str, **extra: object) -> httpx.Response:
    body = {
        "type": f"https://self-service-agent.example/problems/{code}",
        "title": f"The title of {code}.",
        "status": status,
        "detail": "",
        "code": code,
        "hint": f"The hint of {code}.",
        "request_id": "http-id-1",
        **extra,
    }
    headers = {"content-type": "application/problem+json"}
    return httpx.Response(status, content=json.dumps(body), headers=headers)


def stream(*events: ServerSentEvent, cut: bool = False) -> Answer:
    """A stream of events; with `cut` the connection breaks behind them."""

    async def chunks() -> AsyncIterator[bytes]:
        for event in events:
            yield b": heartbeat\n\n"
            yield event.encode()
        if cut:
            raise httpx.ReadError("the connection broke")

    return lambda _: httpx.Response(200, content=chunks(), headers={"content-type": "text/event-stream"})


def event(kind: str, event_id: str = "", **data: object) -> ServerSentEvent:
    return ServerSentEvent(kind, json.dumps(data), event_id)


def accepted(**changes: Any) -> RequestAccepted:
    base = RequestAccepted(request_id=REQUEST_ID, session_id=SESSION_ID, status=RequestStatus.ACCEPTED)
    return base.model_copy(update=changes)


def answer(content: str = "Your laptop is 4 years old.", **changes: Any) -> RequestResult:
    return RequestResult(
        request_id=REQUEST_ID,
        session_id=SESSION_ID,
        status=RequestStatus.COMPLETED,
        integration_type=IntegrationType.CLI,
        created_at=AT,
        completed_at=AT,
        response=ResponseContent(content=content, agent=AgentRef(name="laptop-refresh", version="1")),
    ).model_copy(update=changes)


def end(result: RequestResult, event_id: str = "") -> ServerSentEvent:
    """The last event of a stream."""
    return ServerSentEvent("answer", result.model_dump_json(), event_id)


async def no_pause(_seconds: float) -> None:
    """Sleep not at all."""


def ssa(
    *arguments: str,
    api: FakeRequestManager | None = None,
    surroundings: Surroundings | None = None,
    stdin: str | None = None,
    env: dict[str, str | None] | None = None,
) -> Result:
    """Run the command. Fails for an exception that reached the top, a broken contract, and a token on the screen."""
    api = api if api is not None else FakeRequestManager()
    around = surroundings if surroundings is not None else Surroundings(logins=FakeLogins())
    if around.create_http is Surroundings().create_http:
        around = replace(around, create_http=lambda: httpx.AsyncClient(transport=httpx.MockTransport(api)))
    if around.sleep is Surroundings().sleep:
        around = replace(around, sleep=no_pause)
    environment = {**CLEAN_ENVIRONMENT, "SSA_TOKEN": TOKEN, **(env or {})}
    with stamina.set_testing(True, attempts=3, cap=True):  # tries as in earnest, without the pauses
        result = CliRunner(env=environment).invoke(app, list(arguments), input=stdin, obj=around)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert api.broken == []
    assert TOKEN not in result.output
    return result


def lines(text: str) -> Sequence[str]:
    return [line for line in text.splitlines() if line.strip()]


def both(api: FakeRequestManager, *arguments: str) -> tuple[str, Any]:
    """What a person sees, and the document of `--json`."""
    shown, document = ssa(*arguments, api=api), ssa(*arguments, "--json", api=api)
    assert (shown.exit_code, document.exit_code) == (0, 0)
    return shown.stdout, json.loads(document.stdout)
