"""Deliveries into a Slack workspace that keeps Slack's own rules: once each, in its pace, through its errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from shared_clients.http import create_http
from shared_models.enums import IntegrationType
from shared_models.ids import new_id
from shared_models.schemas import AgentResponse, DeliveryWish, Person, ToolUse

from tests.support.dispatcher import PREFERRED, Dispatcher, ended, running, settings, wish
from tests.support.slack import MENTION, TEAM_ID, SlackWorld, labels, slack_world
from tests.support.slack_text import generated, shown
from tests.support.waiting import eventually

HELP = "#it-help"
FAST: dict[str, Any] = {"post_every_s": 0.0, "minute_s": 0.02}


@asynccontextmanager
async def workspace(**changes: Any) -> AsyncIterator[SlackWorld]:
    """One whose events go nowhere: these tests look at what the app sends."""
    nowhere = httpx.MockTransport(lambda _request: httpx.Response(200))
    async with (
        httpx.AsyncClient(transport=nowhere) as http,
        slack_world(http=http, sends_own_messages=False, **{**FAST, **changes}) as world,
    ):
        yield world


@asynccontextmanager
async def dispatcher_in(world: SlackWorld, database_url: str, **changes: Any) -> AsyncIterator[Dispatcher]:
    """The service as this workspace's app, over real sockets. Failed tries are repeated at once."""
    given: dict[str, Any] = {
        **world.settings(),
        "slack_post_every_s": 0.0,
        "slack_timeout_s": 60.0,
        "integration_defaults": {"slack": {"retry_delay_seconds": 0}, "test": {"retry_delay_seconds": 0}},
        **changes,
    }
    async with create_http() as real:

        async def network(request: httpx.Request) -> httpx.Response | None:
            if not str(request.url).startswith(world.url):
                return None
            return await real.request(
                request.method, request.url, content=await request.aread(), headers=request.headers, timeout=60
            )

        async with running(settings(database_url, **given), network) as dispatcher:
            yield dispatcher


def asked(world: SlackWorld, who: str, where: str = "", thread: str = "", **changes: Any) -> AgentResponse:
    """The end of a request that this person made there."""
    context = {
        "channel_id": world.channel_id(who, where),
        "thread_id": thread,
        "slack_user_id": world.user_id(who),
        "slack_team_id": TEAM_ID,
    }
    delivery = DeliveryWish(mode="origin", targets=[IntegrationType.SLACK], context=dict(context))
    return person_of(world, who, ended(new_id(), delivery, **changes)).model_copy(
        update={"integration_type": IntegrationType.SLACK}
    )


def person_of(world: SlackWorld, who: str, answer: AgentResponse) -> AgentResponse:
    email = world.standin.workspace.member(who).email
    return answer.model_copy(update={"person": Person(user_id=answer.person.user_id, email=email, name=who)})


def texts(world: SlackWorld, where: str) -> list[str]:
    return [message.text for message in world.messages(where, by_app=True)]


async def statuses(dispatcher: Dispatcher) -> dict[str, int]:
    counts = "select status, count(*) as n from delivery_logs where kind <> 'note' group by status"
    rows = await dispatcher.parts.database.fetch(counts)
    return {row["status"]: row["n"] for row in rows}


async def test_300_posts_whose_answers_were_lost_are_there_once_each(database_url: str) -> None:
    async with workspace() as world, dispatcher_in(world, database_url) as dispatcher:
        threads = [world.say("alice", HELP, f"{MENTION} question {number}") for number in range(30)]
        world.fault(method="chat.postMessage", times=300, loses_reply=True)
        world.fault(method="conversations.replies", times=30, every=5, status=500)
        answers = [asked(world, "alice", HELP, threads[n % 30], content=f"Answer {n}") for n in range(300)]
        for answer in answers:
            await dispatcher.plan(answer)

        async def all_delivered() -> bool:
            return await statuses(dispatcher) == {"delivered": 300}

        await eventually(all_delivered)

        assert sorted(texts(world, HELP)) == sorted(f"Answer {number}" for number in range(300))
        assert all(fault.times == 0 for fault in world.standin.faults.scripted)
        assert world.violations == []


async def test_no_call_comes_inside_a_retry_after_window_while_200_threads_wait(database_url: str) -> None:
    async with workspace() as world, dispatcher_in(world, database_url) as dispatcher:
        threads = [world.say("alice", HELP, f"{MENTION} question {number}") for number in range(200)]
        world.fault(method="chat.postMessage", times=2, every=60, status=429, retry_after_s=1)
        for thread in threads:
            await dispatcher.plan(asked(world, "alice", HELP, thread))

        async def all_delivered() -> bool:
            return await statuses(dispatcher) == {"delivered": 200}

        await eventually(all_delivered)

        assert len(texts(world, HELP)) == 200
        counted = await dispatcher.parts.database.fetchval("select sum(failures) from delivery_logs")
        assert counted == 2, "waiting for a window is no failure"
        assert world.standin.faults.scripted[0].times == 0
        assert world.violations == []


async def test_two_replicas_share_what_slack_has_asked_for(database_url: str) -> None:
    async with (
        workspace() as world,
        dispatcher_in(world, database_url) as first,
        dispatcher_in(world, database_url) as second,
    ):
        world.fault(method="chat.postMessage", status=429, retry_after_s=2)
        thread, other = (world.say("alice", HELP, MENTION) for _ in range(2))
        await first.plan(asked(world, "alice", HELP, thread))
        windows = "select count(*) from send_windows where name = 'slack chat.postMessage' and free_at > now()"
        await eventually(lambda: first.parts.database.fetchval(windows))
        await second.plan(asked(world, "alice", HELP, other))

        await world.answers(HELP, 2)

        assert world.violations == []
        assert [call.error for call in world.calls("chat.postMessage")] == ["", ""]


async def test_posts_to_one_channel_keep_their_distance_and_their_order(database_url: str) -> None:
    """Slack's own second is made a tenth of one; the stand-in notes whoever is faster."""
    async with (
        workspace(post_every_s=0.1) as world,
        dispatcher_in(world, database_url, slack_post_every_s=0.12) as dispatcher,
    ):
        for number in range(8):
            await dispatcher.plan(asked(world, "alice", content=f"Answer {number}"))

        await world.answers("alice", 8)

        assert texts(world, "alice") == [f"Answer {number}" for number in range(8)]


async def test_a_long_answer_arrives_whole_in_several_messages_with_buttons_under_the_last(database_url: str) -> None:
    answer = generated(20)
    async with workspace() as world, dispatcher_in(world, database_url) as dispatcher:
        await dispatcher.plan(asked(world, "alice", content=answer.markdown))
        await dispatcher.idle()
        messages = world.messages("alice", by_app=True)

    sections = [block["text"]["text"] for each in messages for block in each.blocks if block["type"] == "section"]
    assert len(messages) > 3
    assert "".join(shown(sections).words()) == "".join(answer.seen).replace("_", "")
    assert shown(sections).code == "".join(answer.code)
    assert [bool(labels(each)) for each in messages] == [False] * (len(messages) - 1) + [True]
    assert (world.truncated, world.pings) == ([], [])


async def test_what_was_asked_elsewhere_comes_as_a_direct_message(database_url: str) -> None:
    async with workspace() as world, dispatcher_in(world, database_url) as dispatcher:
        await dispatcher.plan(person_of(world, "alice", ended(new_id(), PREFERRED)))
        await dispatcher.idle()

        assert texts(world, "alice") == ["Your laptop ships on Monday."]


async def test_a_personal_answer_to_a_question_in_a_channel_is_read_by_its_person_alone(database_url: str) -> None:
    async with workspace() as world, dispatcher_in(world, database_url) as dispatcher:
        thread = world.say("alice", HELP, f"{MENTION} which laptop do I have?")
        answer = asked(world, "alice", HELP, thread)
        assert answer.response is not None
        tools = [ToolUse(name="find_my_laptops", server="servicenow", outcome="ok")]
        await dispatcher.plan(
            answer.model_copy(update={"response": answer.response.model_copy(update={"tools": tools})})
        )
        await dispatcher.idle()

        assert texts(world, "alice") == ["Your laptop ships on Monday."]
        [note] = world.messages(HELP, by_app=True)
        assert (note.thread_ts, "laptop ships" in note.text) == (thread, False)
        assert world.pings == []


async def test_someone_whom_slack_does_not_know_gets_the_answer_by_the_next_integration(database_url: str) -> None:
    async with workspace() as world, dispatcher_in(world, database_url) as dispatcher:
        user = new_id()
        await dispatcher.plan(ended(user, wish("slack", "test")))
        await dispatcher.idle()

        assert await dispatcher.statuses(user) == {"slack": "failed", "test": "delivered"}
        [failed] = [each for each in await dispatcher.deliveries(user) if each["integration"] == "slack"]
        assert failed["reason"] == "No member of the Slack workspace has this e-mail address."


async def test_a_place_that_refuses_for_good_is_tried_once(database_url: str) -> None:
    async with workspace() as world, dispatcher_in(world, database_url) as dispatcher:
        for error in ("channel_not_found", "is_archived", "not_in_channel"):
            world.fault(method="chat.postMessage", error=error)
            await dispatcher.plan(asked(world, "alice"))
            await dispatcher.idle()

        assert await statuses(dispatcher) == {"failed": 3}
        assert len(world.calls("chat.postMessage")) == 0


async def test_a_revoked_token_pauses_slack_keeps_everything_and_loses_nothing(database_url: str) -> None:
    async with workspace() as world, dispatcher_in(world, database_url) as dispatcher:
        world.fault(times=-1, error="token_revoked")
        for _ in range(10):
            await dispatcher.plan(person_of(world, "alice", ended(new_id(), wish("slack"))))
        paused = "select count(*) from integration_states where integration = 'slack' and paused_at is not null"
        await eventually(lambda: dispatcher.parts.database.fetchval(paused))
        await dispatcher.released()
        assert "failed" not in await statuses(dispatcher)

        world.standin.faults.clear()
        await dispatcher.parts.accounts.check(IntegrationType.SLACK)

        await world.answers("alice", 10)
        await dispatcher.idle()
        assert await statuses(dispatcher) == {"delivered": 10}
