"""What a person sees in Slack while their request is being worked on, and that none of it is left when it has ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from integration_dispatcher.slack_api import SlackApi
from shared_models.enums import IntegrationType, ServiceName
from shared_models.events import EventBuilder
from shared_models.ids import new_id
from shared_models.schemas import AgentResponse, DeliveryWish, RequestProcessing

from tests.support.dispatcher import ended, service_token
from tests.support.fake_slack import FakeSlack, Fault, drops_the_answer, limits, refuses
from tests.support.slack_in import BOT, CHANNEL, DIRECT, SlackIn, message, slack_in, slack_settings, user_id
from tests.support.waiting import eventually

ANA = user_id("ana@example.com")
STATUS, ADD = "agents.sessions.setStatus", "reactions.add"
SEEN, WORKING = "eyes", "hourglass_flowing_sand"


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[SlackIn]:
    async with slack_in(slack_settings(database_url)) as world:
        yield world


async def asked(world: SlackIn, body: dict[str, Any]) -> UUID:
    """The request that a message has become."""
    await world.event(body)
    await world.dispatcher.idle()
    return next(reversed(world.manager.keys.values()))


async def takes_long(world: SlackIn, request_id: UUID, integration: IntegrationType = IntegrationType.SLACK) -> None:
    """As agent-service says after two seconds."""
    person = ended(ANA, None).person
    about = RequestProcessing(request_id=request_id, session_id=new_id(), person=person, integration_type=integration)
    headers, body = EventBuilder(ServiceName.AGENT_SERVICE).request_processing(about).to_binary()
    headers["authorization"] = f"Bearer {service_token()}"
    reply = await world.dispatcher.http.post("/events", content=body, headers=headers)
    assert reply.status_code == 202


def answer(body: dict[str, Any], request_id: UUID, *, took_s: float, thread: str | None = None) -> AgentResponse:
    """The end of the request that the message has become."""
    context = {"channel_id": body["event"]["channel"], "thread_id": thread, "user_id": "U1"}
    found = ended(ANA, DeliveryWish(mode="origin", context=context))
    changes = {
        "request_id": request_id,
        "integration_type": IntegrationType.SLACK,
        "metadata": {"slack_ts": body["event"]["ts"]},
        "created_at": found.ended_at - timedelta(seconds=took_s),
    }
    return found.model_copy(update=changes)


async def seen(look: Callable[[], bool]) -> None:
    """Nobody waits for what is only for the eye."""

    async def is_seen() -> bool:
        return look()

    await eventually(is_seen)


def reactions(slack: FakeSlack, ts: str) -> set[str]:
    return {name for _, at, name in slack.reactions if at == ts}


def statuses(slack: FakeSlack) -> list[str]:
    return [call["status"] for call in slack.called(STATUS)]


async def test_a_message_is_marked_as_seen_until_its_answer_is_there(world: SlackIn) -> None:
    body = message("hello")
    request_id, ts = await asked(world, body), body["event"]["ts"]
    assert reactions(world.slack, ts) == {SEEN}
    await world.dispatcher.plan(answer(body, request_id, took_s=0.5))
    await seen(lambda: not reactions(world.slack, ts))
    assert world.slack.called(STATUS) == []


async def test_long_work_in_a_thread_is_the_status_of_its_session_and_ends_with_it(world: SlackIn) -> None:
    body = message(f"<@{BOT}> hello", channel=CHANNEL, type="app_mention")
    request_id, ts = await asked(world, body), body["event"]["ts"]
    await takes_long(world, request_id)
    await seen(lambda: statuses(world.slack) == ["processing"])
    [shown] = world.slack.called(STATUS)
    assert (shown["channel_id"], shown["thread_ts"]) == (CHANNEL, ts)
    assert reactions(world.slack, ts) == {SEEN}
    await world.dispatcher.plan(answer(body, request_id, took_s=3, thread=ts))
    await seen(lambda: statuses(world.slack) == ["processing", "active"])
    assert reactions(world.slack, ts) == set()


@pytest.mark.parametrize("is_thread_refused", [False, True], ids=["direct message", "status refused"])
async def test_where_no_status_can_be_shown_a_reaction_shows_long_work(world: SlackIn, is_thread_refused: bool) -> None:
    channel = CHANNEL if is_thread_refused else DIRECT
    body = message(f"<@{BOT}> hello", channel=channel, type="app_mention" if is_thread_refused else "message")
    world.slack.faults[STATUS] = [refuses("method_not_supported_for_channel_type")]
    request_id, ts = await asked(world, body), body["event"]["ts"]
    await takes_long(world, request_id)
    await seen(lambda: reactions(world.slack, ts) == {SEEN, WORKING})
    await world.dispatcher.plan(answer(body, request_id, took_s=3))
    await seen(lambda: not reactions(world.slack, ts))


@pytest.mark.parametrize(
    "fault",
    [refuses("already_reacted"), refuses("missing_scope"), limits(60), drops_the_answer],
    ids=["there already", "no scope", "limited", "answer lost"],
)
async def test_what_slack_does_not_show_keeps_nothing_from_being_asked(world: SlackIn, fault: Fault) -> None:
    world.slack.faults[ADD] = [fault]
    body = message("hello")
    request_id = await asked(world, body)
    assert world.manager.texts == ["hello"]
    await takes_long(world, request_id)
    await world.dispatcher.plan(answer(body, request_id, took_s=3))
    await world.dispatcher.idle()
    assert [each["text"] for each in world.slack.messages] == ["Your laptop ships on Monday."]


async def nothing_is_left_to_show() -> None:
    await seen(lambda: not any(task.get_name() == "slack progress" for task in asyncio.all_tasks()))


async def test_work_that_is_told_after_its_answer_is_not_shown(world: SlackIn) -> None:
    """A broker may send an event late or twice, in any order."""
    direct, in_thread = message("hello"), message(f"<@{BOT}> hello", channel=CHANNEL, type="app_mention")
    for body, thread in ((direct, None), (in_thread, in_thread["event"]["ts"])):
        request_id = await asked(world, body)
        await world.dispatcher.plan(answer(body, request_id, took_s=3, thread=thread))
        await nothing_is_left_to_show()
        await takes_long(world, request_id)
        await nothing_is_left_to_show()
    assert "processing" not in statuses(world.slack)
    assert world.slack.reactions == set()


async def test_work_that_is_shown_while_its_answer_comes_is_taken_away_again(
    world: SlackIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = message("hello")
    request_id = await asked(world, body)
    react, is_planned = SlackApi.call, asyncio.Event()

    async def call(api: SlackApi, method: str, arguments: dict[str, Any], **more: Any) -> Any:
        if (method, arguments.get("name")) == (ADD, WORKING):
            await is_planned.wait()
        return await react(api, method, arguments, **more)

    monkeypatch.setattr(SlackApi, "call", call)
    await takes_long(world, request_id)
    await world.dispatcher.plan(answer(body, request_id, took_s=3))
    await seen(lambda: ("reactions.remove", WORKING) in [(m, a.get("name")) for m, a in world.slack.calls])
    is_planned.set()
    await nothing_is_left_to_show()
    assert world.slack.reactions == set()


async def test_requests_from_elsewhere_and_unknown_ones_show_nothing(world: SlackIn) -> None:
    body = message("hello")
    request_id, ts = await asked(world, body), body["event"]["ts"]
    await takes_long(world, request_id, IntegrationType.WEB)
    await takes_long(world, new_id())
    await takes_long(world, request_id)
    await seen(lambda: WORKING in reactions(world.slack, ts))
    assert len(world.slack.called(ADD)) == 2
    assert world.slack.called(STATUS) == []
