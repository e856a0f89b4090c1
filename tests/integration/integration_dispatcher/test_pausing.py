"""A provider that refuses our account: deliveries wait, nothing is counted, and they go on when it takes us again."""

from dataclasses import dataclass, field
from uuid import UUID

import httpx
import pytest
from integration_dispatcher.handlers.base import Delivered, IntegrationConfig, IntegrationPaused, Message
from integration_dispatcher.handlers.test import TestIntegrationHandler
from shared_models.enums import IntegrationType, Role
from shared_models.ids import new_id

from tests.support.dispatcher import PREFERRED, Dispatcher, ended, wish
from tests.support.waiting import eventually

HEALTH = "/api/v1/integration-health"
WAITS = (
    "select count(*) from work_items where queue = $1 and leased_by is null and run_at > now() + interval '9 seconds'"
)


@dataclass
class Account:
    """The test integration with an account that can be refused. `tried` holds the content of each try."""

    is_refused: bool = True
    tried: list[str] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)

    def check(self) -> None:
        if self.is_refused:
            raise IntegrationPaused("The token was revoked.", code=401, words="token=xoxb-1-secret revoked")


class RefusedHandler(TestIntegrationHandler):
    def __init__(self, account: Account) -> None:
        async def keep(message: Message) -> None:
            account.delivered.append(message.body)

        super().__init__(keep, enabled=True)
        self.account = account

    async def deliver(self, message: Message, config: IntegrationConfig) -> Delivered:
        self.account.tried.append(message.body)
        self.account.check()
        return await super().deliver(message, config)

    async def probe(self) -> None:
        self.account.check()


@pytest.fixture
def account(dispatcher: Dispatcher) -> Account:
    account = Account()
    dispatcher.parts.accounts.handlers[IntegrationType.TEST] = RefusedHandler(account)
    return account


async def all_wait(dispatcher: Dispatcher, count: int) -> None:
    """Until so many deliveries have been put back and nobody works on them."""

    async def look() -> bool:
        queue = dispatcher.parts.queues.deliveries.name
        return await dispatcher.parts.database.fetchval(WAITS, queue) == count

    await eventually(look)


async def call(dispatcher: Dispatcher, method: str, path: str = "", *, role: Role = Role.OPERATOR) -> httpx.Response:
    return await dispatcher.call(method, HEALTH + path, new_id(), roles=[role])


async def state_of_test(dispatcher: Dispatcher) -> str:
    reply = await call(dispatcher, "GET")
    assert reply.status_code == 200, reply.text
    return str({item["integration"]: item["state"] for item in reply.json()["items"]}["test"])


async def asked(dispatcher: Dispatcher, *contents: str) -> list[UUID]:
    users = [new_id() for _ in contents]
    for user, content in zip(users, contents, strict=True):
        await dispatcher.plan(ended(user, wish("test"), content=content))
    return users


async def test_a_refused_account_keeps_the_queue_and_counts_no_try(dispatcher: Dispatcher, account: Account) -> None:
    [ana] = await asked(dispatcher, "first")
    await all_wait(dispatcher, 1)
    await asked(dispatcher, "second", "third")
    await all_wait(dispatcher, 3)
    assert account.tried == ["first"]
    assert await state_of_test(dispatcher) == "paused"
    [delivery] = await dispatcher.deliveries(ana)
    assert (delivery["status"], delivery["reason"]) == ("retrying", "The token was revoked.")
    [attempt] = await dispatcher.attempts(delivery["delivery_id"], ana)
    assert (attempt["outcome"], attempt["code"]) == ("paused", 401)
    assert "xoxb" not in attempt["detail"]
    assert await dispatcher.parts.database.fetchval("select sum(failures) from delivery_logs") == 0


async def test_a_person_sees_that_an_integration_waits(dispatcher: Dispatcher, account: Account) -> None:
    async def paused() -> dict[str, bool]:
        reply = await dispatcher.call("GET", "/api/v1/users/{me}/integration-defaults", new_id())
        return {item["integration"]: item["is_paused"] for item in reply.json()["items"]}

    assert await paused() == {"webhook": False, "test": False}
    await dispatcher.parts.accounts.check(IntegrationType.TEST)
    assert await paused() == {"webhook": False, "test": True}
    account.is_refused = False
    await dispatcher.parts.accounts.check(IntegrationType.TEST)
    assert await paused() == {"webhook": False, "test": False}


async def test_a_check_that_succeeds_sends_all_that_waited(dispatcher: Dispatcher, account: Account) -> None:
    await asked(dispatcher, "one")
    await all_wait(dispatcher, 1)
    await asked(dispatcher, "two", "three")
    await all_wait(dispatcher, 3)
    await dispatcher.parts.accounts.check(IntegrationType.TEST)
    assert await state_of_test(dispatcher) == "paused"
    account.is_refused = False
    await dispatcher.parts.accounts.check(IntegrationType.TEST)
    await dispatcher.idle()
    assert sorted(account.delivered) == ["one", "three", "two"]
    assert await state_of_test(dispatcher) == "ok"
    assert [report.status.value for report in dispatcher.sink.reports] == ["delivered"] * 3


async def test_an_operator_may_resume_and_a_refusal_pauses_again(dispatcher: Dispatcher, account: Account) -> None:
    await asked(dispatcher, "one")
    await all_wait(dispatcher, 1)
    assert (await call(dispatcher, "POST", "/test/resume", role=Role.USER)).status_code == 403
    assert (await call(dispatcher, "POST", "/sms/resume")).status_code == 404
    assert (await call(dispatcher, "POST", "/test/resume")).json()["state"] == "ok"

    async def is_paused() -> bool:
        return len(account.tried) == 2 and await state_of_test(dispatcher) == "paused"

    await eventually(is_paused)
    await all_wait(dispatcher, 1)
    account.is_refused = False
    await call(dispatcher, "POST", "/test/resume")
    await dispatcher.idle()
    assert account.delivered == ["one"]


async def test_whoever_has_another_integration_does_not_wait(
    dispatcher: Dispatcher, account: Account, receiver_url: str
) -> None:
    user = new_id()
    await dispatcher.set_webhook(user, receiver_url, priority=9)
    await dispatcher.call("PUT", "/api/v1/users/{me}/integrations/test", user, json={"priority": 1})
    await dispatcher.plan(ended(user, PREFERRED))

    async def is_delivered() -> bool:
        return (await dispatcher.statuses(user)).get("webhook") == "delivered"

    await eventually(is_delivered)
    assert len(account.tried) == 1


async def test_one_replica_checks_per_interval(dispatcher: Dispatcher, account: Account) -> None:
    await dispatcher.parts.accounts.check_all(3600)
    assert await state_of_test(dispatcher) == "paused"
    account.is_refused = False
    await dispatcher.parts.accounts.check_all(3600)
    assert await state_of_test(dispatcher) == "paused"
    await dispatcher.parts.accounts.check_all(0)
    assert await state_of_test(dispatcher) == "ok"


async def test_operators_see_it_on_their_port(dispatcher: Dispatcher, account: Account) -> None:
    await dispatcher.parts.accounts.check(IntegrationType.TEST)
    transport = httpx.ASGITransport(dispatcher.app.state.operations)
    async with httpx.AsyncClient(transport=transport, base_url="http://operations") as operations:
        detailed = await operations.get("/health/detailed")
        metrics = (await operations.get("/metrics")).text
    assert detailed.status_code == 200
    states = {item["integration"]: item["state"] for item in detailed.json()["integrations"]}
    assert states == {"test": "paused", "webhook": "unknown"}
    assert 'ssa_integration_paused{integration="test"} 1.0' in metrics
    assert 'ssa_integration_paused{integration="webhook"} 0.0' in metrics
