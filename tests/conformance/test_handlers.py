"""One list of cases that every integration passes. A handler that is added to the list is run here without a change."""

import ast
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import integration_dispatcher.handlers
import pytest
from integration_dispatcher.domain.addresses import AddressPolicy
from integration_dispatcher.guarded_http import GuardedHttp
from integration_dispatcher.handlers import Handlers, all_handlers
from integration_dispatcher.handlers.base import (
    DeliveryDelayed,
    DeliveryRejected,
    Edges,
    IntegrationConfig,
    IntegrationHandler,
    Message,
)
from pydantic import SecretStr, ValidationError
from shared_models.database import Database
from shared_models.enums import DELIVERY_INTEGRATIONS, IntegrationType, RequestStatus
from shared_models.errors import InvalidRequest
from shared_models.ids import new_id
from shared_models.schemas import AgentResponse, ErrorInfo, Metadata

from tests.support.dispatcher import ended, settings
from tests.support.hostile_server import (
    Behaviour,
    Connection,
    HostileServer,
    cut_off,
    gigabyte,
    hostile_server,
    silent,
)
from tests.support.mail import AGENT, PASSWORD, mail_server

ENDS = [status for status in RequestStatus if status.is_end]
NOW = datetime.now(UTC)
LOCAL = AddressPolicy(https_only=False, allowed_hosts=frozenset({"127.0.0.1"}))


async def no_lookup(host: str) -> list[str]:
    raise OSError(host)


@dataclass
class Outside:
    """Everything that handlers talk to. `effects` are the ids of messages that the other side has taken, once each."""

    server: HostileServer
    smtp_port: int = 25
    timeout_s: float = 30.0
    effects: dict[str, str] = field(default_factory=dict)

    async def keep(self, message: Message) -> None:
        self.effects[message.id] = message.body

    def handlers(self) -> Handlers:
        return all_handlers(self.edges(GuardedHttp(LOCAL, no_lookup, timeout_s=self.timeout_s)))

    def edges(self, guarded_http: GuardedHttp) -> Edges:
        given = settings(
            "postgresql://nobody@127.0.0.1:1/none", public_url="https://it.customer.com", **self.accounts()
        )
        return Edges(given, Database.of(given), httpx.AsyncClient(), guarded_http, self.keep)

    def accounts(self) -> dict[str, object]:
        """Settings that set every integration up, at this server."""
        return {
            "slack_bot_token": SecretStr("xoxb-1"),
            "slack_signing_secret": SecretStr("s"),
            "slack_api_url": self.server.url,
            "slack_timeout_s": self.timeout_s,
            "smtp_host": "127.0.0.1",
            "smtp_port": self.smtp_port,
            "smtp_tls": "none",
            "smtp_username": AGENT,
            "smtp_password": SecretStr(PASSWORD),
            "smtp_from": AGENT,
            "smtp_timeout_s": self.timeout_s,
            "sms_account_sid": "AC1",
            "sms_auth_token": SecretStr("t"),
            "sms_from": "+14155550199",
            "sms_api_url": self.server.url,
            "sms_timeout_s": self.timeout_s,
        }

    def given(self, integration: IntegrationType) -> Metadata:
        """What a person would send as `config` to point the integration here."""
        match integration:
            case IntegrationType.WEBHOOK:
                return {"url": self.server.url}
            case IntegrationType.SMS:
                return {"phone": "+14155550100"}
        return {}


async def takes_everything(connection: Connection) -> None:
    """An answer that every provider's client reads as success."""
    body = b'{"ok": true, "ts": "1.2", "user": {"id": "U1"}, "channel": {"id": "D1"}, "sid": "SM1"}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    await connection.send(head % len(body) + body)


INTEGRATIONS = list(Outside(HostileServer("127.0.0.1")).handlers())


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    async with hostile_server(takes_everything) as server, mail_server(tmp_path / "mail") as mail:
        yield Outside(server, mail.smtp_port)


@pytest.fixture(params=INTEGRATIONS, ids=str)
def integration(request: pytest.FixtureRequest) -> IntegrationType:
    return IntegrationType(request.param)


@pytest.fixture
def handler(integration: IntegrationType, outside: Outside) -> IntegrationHandler:
    return outside.handlers()[integration]


def config_of(handler: IntegrationHandler, given: Metadata) -> IntegrationConfig:
    settled = handler.settle(given, None, NOW)
    return handler.config_type.model_validate({**settled.shown, **settled.hidden})


def planned(handler: IntegrationHandler, given: Metadata) -> Message:
    """The first part of an answer, as the processor would hand it over."""
    answer, delivery_id = ended(new_id(), None), new_id()
    shown = handler.settle(given, None, NOW).shown
    target, body = handler.target(answer, answer.person.user_id, shown), handler.parts(answer, shown)[0]
    ids = (str(delivery_id), delivery_id, 1, new_id(), answer.person.user_id)
    return Message(*ids, body, datetime.now(UTC), target=target)


def test_every_file_of_the_folder_is_in_the_list() -> None:
    folder = Path(integration_dispatcher.handlers.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "base"}
    assert {integration.value for integration in INTEGRATIONS} == files
    assert set(INTEGRATIONS) <= set(DELIVERY_INTEGRATIONS)


def test_no_handler_imports_another() -> None:
    folder = Path(integration_dispatcher.handlers.__file__).parent
    for path in folder.glob("*.py"):
        names = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        mine = {name for name in names if name and name.startswith("integration_dispatcher.handlers.")}
        assert path.stem == "__init__" or mine <= {"integration_dispatcher.handlers.base"}


@pytest.mark.parametrize("status", ENDS)
def test_every_end_has_parts_that_hold_its_words(handler: IntegrationHandler, status: RequestStatus) -> None:
    error = ErrorInfo(code="x", message="The tool did not answer.")
    answer = ended(new_id(), None, status=status, error=None if status is RequestStatus.COMPLETED else error)
    parts = handler.parts(answer, {})
    assert parts
    assert all(parts)
    text = "Your laptop ships on Monday." if status is RequestStatus.COMPLETED else error.message
    assert text in "".join(parts)


@pytest.mark.parametrize("content", ["", "x" * 65_536, "a\x00b", "\u202eevil\u2028", "€😀" * 10_000, "<b>&", '"\\'])
def test_parts_are_pure(handler: IntegrationHandler, content: str) -> None:
    answer = ended(new_id(), None, content=content)
    before = answer.model_dump_json()
    assert handler.parts(answer, {}) == handler.parts(answer, {})
    assert answer.model_dump_json() == before


def test_settings_can_be_stored_and_read_back(
    handler: IntegrationHandler, integration: IntegrationType, outside: Outside
) -> None:
    given = outside.given(integration)
    settled = handler.settle(given, None, NOW)
    assert handler.is_set_up(settled.shown)
    config = handler.config_type.model_validate({**settled.shown, **settled.hidden})
    again = handler.settle(given, config, NOW)
    assert again.shown == settled.shown
    assert again.new_secret is None
    assert not set(settled.hidden) & set(settled.shown)


def test_unknown_settings_are_refused(handler: IntegrationHandler) -> None:
    with pytest.raises(InvalidRequest):
        handler.settle({"no_such_field": "x"}, None, NOW)
    with pytest.raises(ValidationError):
        handler.config_type.model_validate({"no_such_field": "x"})


def test_a_target_is_short_stable_and_one_for_each_person_and_address(
    handler: IntegrationHandler, integration: IntegrationType, outside: Outside
) -> None:
    shown = handler.settle(outside.given(integration), None, NOW).shown
    ana, ben = ended(new_id(), None), ended(new_id(), None)
    ben = ben.model_copy(update={"person": ben.person.model_copy(update={"email": "ben@example.com"})})

    def target(answer: AgentResponse) -> str:
        return handler.target(answer, answer.person.user_id, shown)

    assert target(ana) == target(ana)
    assert target(ana) != target(ben)
    assert 0 < len(target(ana)) <= 200


def test_defaults_and_schedule_are_sensible(handler: IntegrationHandler) -> None:
    assert 1 <= handler.defaults.priority <= 100
    assert 0 <= handler.defaults.retry_count <= 10
    assert handler.schedule.growth >= 1
    assert 0 < handler.schedule.cap_s <= handler.schedule.expires_after_s


async def test_a_message_is_delivered_and_delivering_it_twice_shows_the_same_id(
    handler: IntegrationHandler, integration: IntegrationType, outside: Outside
) -> None:
    config = config_of(handler, outside.given(integration))
    message = planned(handler, outside.given(integration))
    first = await handler.deliver(message, config)
    second = await handler.deliver(message, config)
    assert first == second
    if integration is IntegrationType.TEST:
        assert outside.effects == {message.id: message.body}
    elif integration is IntegrationType.WEBHOOK:
        assert message.id.encode() in outside.server.request


@pytest.mark.parametrize("behave", [silent, cut_off, gigabyte])
async def test_an_other_side_that_misbehaves_is_a_delay_and_nothing_else(
    integration: IntegrationType, behave: Behaviour
) -> None:
    async with hostile_server(behave) as server:
        outside = Outside(server, urlsplit(server.url).port or 0, timeout_s=0.5)
        handler = outside.handlers()[integration]
        config = config_of(handler, outside.given(integration))
        with pytest.raises(DeliveryDelayed) if calls_outside(integration) else nullcontext():
            await handler.deliver(planned(handler, outside.given(integration)), config)


async def test_an_address_of_the_private_network_is_final_where_people_name_it(
    integration: IntegrationType, outside: Outside
) -> None:
    if "url" not in outside.given(integration):
        assert "://" not in outside.handlers()[integration].address(outside.given(integration))
        return
    config = config_of(outside.handlers()[integration], outside.given(integration))
    message = planned(outside.handlers()[integration], outside.given(integration))
    strict = GuardedHttp(AddressPolicy(https_only=False), no_lookup)
    handler = all_handlers(outside.edges(strict))[integration]
    with pytest.raises(DeliveryRejected) if calls_outside(integration) else nullcontext():
        await handler.deliver(message, config)
    assert outside.server.connections == 0


def calls_outside(integration: IntegrationType) -> bool:
    """The test integration keeps its messages here: nobody outside can fail it."""
    return integration is not IntegrationType.TEST
