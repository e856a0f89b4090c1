"""Presses in Slack, with request-manager and Slack as lists of what they were asked."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from integration_dispatcher.domain.slack_buttons import (
    CONFIRM,
    FEEDBACK,
    MY_REQUESTS,
    NEW_TOPIC,
    REASON_ACTION,
    REASON_BLOCK,
    REASON_VIEW,
    REJECT,
    Subject,
)
from integration_dispatcher.inbound.base import InboundEdges
from integration_dispatcher.inbound.people import People
from integration_dispatcher.inbound.slack_actions import GIVEN_UP, NOT_YOURS, SlackActions
from integration_dispatcher.inbound.slack_calls import SlackCalls
from integration_dispatcher.inbound.slack_identity import SlackIdentity
from integration_dispatcher.progress import NoProgress
from integration_dispatcher.store.inbound import InboundEvent
from shared_clients.http import ServiceClient
from shared_clients.request_manager import RequestManagerClient
from shared_models.api import FeedbackView, RequestDetail, RequestItem
from shared_models.database import Database
from shared_models.enums import IntegrationType, RequestStatus
from shared_models.ids import new_id
from shared_models.work_item import RetryLater

from tests.support.dispatcher import settings
from tests.support.fake_slack import FakeSlack, limits, refuses

type Json = dict[str, Any]

ANA, BEN = new_id(), new_id()
USERS = {"U1": ANA, "U2": BEN}
SUBJECT = Subject(new_id(), new_id(), ANA, new_id())
NOW = datetime.now(UTC)
BLOCKS: list[Json] = [
    {"type": "section", "block_id": "b0", "text": {"type": "mrkdwn", "text": "Please confirm"}},
    {"type": "actions", "block_id": "b1", "elements": [{"action_id": CONFIRM}, {"action_id": REJECT}]},
    {"type": "context_actions", "block_id": "b2", "elements": [{"action_id": FEEDBACK}]},
    {"type": "actions", "block_id": "b3", "elements": [{"action_id": MY_REQUESTS}, {"action_id": NEW_TOPIC}]},
]


@dataclass
class FakeManager:
    """Accepts every request once per key; keeps the feedback. `tokens`: with which the calls came."""

    requests: dict[str, Json] = field(default_factory=dict)
    feedback: list[Json] = field(default_factory=list)
    listed: list[RequestItem] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    refuses_with: httpx.Response | None = None

    def take(self, request: httpx.Request) -> httpx.Response:
        self.tokens.add(request.headers["authorization"])
        path, body = request.url.path, json.loads(request.content or b"null")
        if path.endswith("/resolve"):
            user_id = USERS[body["external_id"].removeprefix("T1:")]
            return httpx.Response(200, json={"user_id": str(user_id), "email": "a@example.com"})
        if self.refuses_with is not None:
            return self.refuses_with
        if path.endswith("/slack"):
            return self._accept(request.headers["idempotency-key"], body)
        if path.endswith("/feedback"):
            self.feedback.append(body)
            return httpx.Response(200, json={**body, "created_at": NOW.isoformat()})
        if path == "/api/v1/requests":
            return httpx.Response(200, content=_page(self.listed))
        return httpx.Response(200, content=self._detail())

    def _accept(self, key: str, body: Json) -> httpx.Response:
        if self.requests.setdefault(key, body) != body:
            problem = {"type": "x", "title": "x", "status": 422, "code": "idempotency_conflict"}
            return httpx.Response(422, json=problem, headers={"content-type": "application/problem+json"})
        ids = {"request_id": str(new_id()), "session_id": str(new_id()), "status": "accepted"}
        return httpx.Response(202, json=ids)

    def _detail(self) -> str:
        last = FeedbackView(**self.feedback[-1], created_at=NOW) if self.feedback else None
        return RequestDetail(
            request_id=SUBJECT.request_id,
            session_id=SUBJECT.session_id,
            user_id=ANA,
            sequence=1,
            request_type="message",
            status=RequestStatus.COMPLETED,
            integration_type=IntegrationType.SLACK,
            created_at=NOW,
            feedback=last,
        ).model_dump_json()


def _page(items: list[RequestItem]) -> bytes:
    return json.dumps({"items": [item.model_dump(mode="json") for item in items], "next_cursor": None}).encode()


@dataclass
class World:
    slack: FakeSlack
    manager: FakeManager
    actions: SlackActions

    async def press(self, action: str, subject: Subject = SUBJECT, *, user: str = "U1") -> str:
        """Returns how it ended."""
        return (await self.actions.process(event_of(button(action, subject, user)))).state

    @property
    def whispers(self) -> list[tuple[str, str]]:
        return [(each["user"], each["text"]) for each in self.slack.called("chat.postEphemeral")]

    @property
    def updates(self) -> list[Json]:
        return self.slack.called("chat.update")


def button(action: str, subject: Subject, user: str = "U1") -> Json:
    return {
        "type": "block_actions",
        "team": {"id": "T1"},
        "user": {"id": user},
        "channel": {"id": "C1"},
        "container": {"type": "message", "message_ts": "17.5", "channel_id": "C1", "thread_ts": "17.1"},
        "message": {"ts": "17.5", "blocks": BLOCKS},
        "trigger_id": "trigger",
        "actions": [{"action_id": action, "value": subject.dump()}],
    }


def event_of(payload: Json) -> InboundEvent:
    return InboundEvent(new_id(), "slack_action", "slack:T1:x", "slack_action:T1:U1", payload)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    slack, manager = FakeSlack(), FakeManager()
    http = httpx.AsyncClient(transport=httpx.MockTransport(manager.take))

    def client(token: str) -> RequestManagerClient:
        return RequestManagerClient(ServiceClient(http, "http://manager", lambda: token))

    people = People(client("own"))
    for user in USERS:
        await people.resolve(IntegrationType.SLACK, f"T1:{user}")
    calls = SlackCalls(slack.api())
    given = settings("postgresql://nobody@127.0.0.1:1/none")
    edges = InboundEdges(
        settings=given,
        database=Database.of(given),
        http=http,
        manager=client("own"),
        people=people,
        as_person=lambda person: client(f"for {person.user_id}"),
        progress=NoProgress(),
    )
    yield World(slack, manager, SlackActions(edges, calls, SlackIdentity(calls, people)))
    await http.aclose()


def ids_of(blocks: list[Json]) -> list[str]:
    return [each["action_id"] for block in blocks for each in block.get("elements", []) if "action_id" in each]


@pytest.mark.parametrize(("action", "decision"), [(CONFIRM, "approve"), (REJECT, "reject")])
async def test_a_decision_is_brought_to_its_session_and_shown_on_the_message(
    world: World, action: str, decision: str
) -> None:
    assert await world.press(action) == "forwarded"

    [(key, body)] = world.manager.requests.items()
    assert key == f"slack:confirm:{SUBJECT.confirmation_id}"
    assert body["confirm"] == {"id": str(SUBJECT.confirmation_id), "decision": decision}
    assert (body["session_id"], body["channel_id"], body["thread_id"]) == (str(SUBJECT.session_id), "C1", "17.1")
    [update] = world.updates
    assert ids_of(update["blocks"]) == [FEEDBACK, MY_REQUESTS, NEW_TOPIC]
    assert update["ts"] == "17.5"


async def test_of_several_presses_the_first_decides(world: World) -> None:
    ends = [await world.press(action) for action in (CONFIRM, CONFIRM, REJECT)]

    assert ends == ["forwarded", "forwarded", "ignored"]
    assert len(world.manager.requests) == 1
    assert all("said yes" in str(update["blocks"]) for update in world.updates)


@pytest.mark.parametrize("action", [CONFIRM, REJECT, FEEDBACK, MY_REQUESTS, NEW_TOPIC])
async def test_nobody_but_the_owner_can_press(world: World, action: str) -> None:
    assert await world.press(action, user="U2") == "answered"

    assert world.whispers == [("U2", NOT_YOURS)]
    assert world.manager.requests == {}
    assert world.manager.feedback == []
    assert world.updates == []


def rated(rating: Any) -> Subject:
    return Subject(SUBJECT.request_id, SUBJECT.session_id, ANA, rating=rating)


async def test_feedback_is_given_once_for_the_person_and_thanked_for(world: World) -> None:
    for _ in range(2):
        assert await world.press(FEEDBACK, rated("up")) == "answered"

    assert world.manager.feedback == [{"rating": "up", "reason": ""}]
    assert f"Bearer for {ANA}" in world.manager.tokens
    assert FEEDBACK not in ids_of(world.updates[0]["blocks"])
    assert world.slack.called("views.open") == []


async def test_a_thumb_down_counts_at_once_and_asks_for_the_reason(world: World) -> None:
    await world.press(FEEDBACK, rated("down"))
    [opened] = world.slack.called("views.open")
    view = opened["view"]
    assert (opened["trigger_id"], view["callback_id"]) == ("trigger", REASON_VIEW)
    assert [each["rating"] for each in world.manager.feedback] == ["down"]

    values = {REASON_BLOCK: {REASON_ACTION: {"type": "plain_text_input", "value": " It was wrong. "}}}
    submission = {
        "type": "view_submission",
        "team": {"id": "T1"},
        "user": {"id": "U1"},
        "view": view | {"state": {"values": values}},
    }
    for _ in range(2):
        assert (await world.actions.process(event_of(submission))).state == "answered"

    assert world.manager.feedback[1:] == [{"rating": "down", "reason": "It was wrong."}]


async def test_a_modal_that_comes_too_late_loses_no_feedback(world: World) -> None:
    world.slack.faults["views.open"] = [refuses("expired_trigger_id")]

    assert await world.press(FEEDBACK, rated("down")) == "answered"

    assert [each["rating"] for each in world.manager.feedback] == ["down"]


async def test_my_requests_are_shown_to_nobody_else_and_their_words_are_escaped(world: World) -> None:
    item = RequestItem(
        request_id=new_id(),
        session_id=new_id(),
        user_id=ANA,
        status=RequestStatus.COMPLETED,
        integration_type=IntegrationType.SLACK,
        request_type="message",
        excerpt="<!channel>\nlaptop",
        created_at=NOW,
    )
    world.manager.listed = [item]

    await world.press(MY_REQUESTS)

    [(user, text)] = world.whispers
    assert user == "U1"
    assert "&lt;!channel&gt; laptop" in text
    assert f"Bearer for {ANA}" in world.manager.tokens


async def test_a_new_topic_is_begun_once_for_each_message(world: World) -> None:
    for _ in range(2):
        assert await world.press(NEW_TOPIC) == "forwarded"

    [body] = world.manager.requests.values()
    assert body["content"] == "new"
    assert "session_id" not in body


async def test_a_refusal_is_told_to_the_one_who_pressed(world: World) -> None:
    problem = {
        "type": "x",
        "title": "t",
        "detail": "This conversation is <closed>.",
        "status": 409,
        "code": "session_ended",
    }
    media = {"content-type": "application/problem+json"}
    world.manager.refuses_with = httpx.Response(409, json=problem, headers=media)

    assert await world.press(CONFIRM) == "answered"

    assert world.whispers == [("U1", "This conversation is &lt;closed&gt;.")]
    assert world.updates == []


async def test_a_busy_slack_is_asked_again_later_and_the_decision_stays_one(world: World) -> None:
    world.slack.faults["chat.update"] = [limits(7)]
    with pytest.raises(RetryLater) as caught:
        await world.press(CONFIRM)

    assert caught.value.after_s == 7
    assert len(world.manager.requests) == 1


async def test_a_message_that_is_gone_does_not_undo_the_press(world: World) -> None:
    world.slack.faults["chat.update"] = [refuses("message_not_found")]

    assert await world.press(CONFIRM) == "forwarded"


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "shortcut"},
        {"type": "block_actions"},
        {"type": "block_actions", "actions": []},
        button(CONFIRM, SUBJECT) | {"actions": [{"action_id": "theirs", "value": "x"}]},
        button(CONFIRM, SUBJECT) | {"actions": [{"action_id": CONFIRM}]},
        button(CONFIRM, SUBJECT) | {"container": {}},
        {"type": "view_submission", "view": {"callback_id": "theirs"}},
        {"type": "view_submission", "view": {"callback_id": REASON_VIEW, "private_metadata": "x"}},
        {"type": "view_submission", "view": None},
    ],
)
async def test_what_is_none_of_ours_is_ignored(world: World, payload: Json) -> None:
    assert (await world.actions.process(event_of(payload))).state == "ignored"
    assert world.slack.calls == []


async def test_a_press_that_was_given_up_is_told(world: World) -> None:
    await world.actions.tell_given_up(event_of(button(CONFIRM, SUBJECT)))

    assert world.whispers == [("U1", GIVEN_UP)]
