from datetime import UTC, datetime

import httpx
import pytest
from integration_dispatcher.domain.slack_message import Place, Post
from integration_dispatcher.handlers.base import (
    DeliveryDelayed,
    DeliveryPostponed,
    DeliveryRejected,
    IntegrationPaused,
    Message,
)
from integration_dispatcher.handlers.slack import SlackConfig, SlackIntegrationHandler
from integration_dispatcher.slack_errors import ACCOUNT
from shared_models.errors import InvalidRequest
from shared_models.ids import new_id

from tests.support.fake_slack import FakeSlack, Fault, drops_the_answer, limits, ok, refuses

CONFIG = SlackConfig()
POST = "chat.postMessage"
THREAD = Place("C1", "17.5", "U1")


@pytest.fixture
def slack() -> FakeSlack:
    return FakeSlack()


@pytest.fixture
def handler(slack: FakeSlack) -> SlackIntegrationHandler:
    return SlackIntegrationHandler(slack.api())


def message(place: Place = THREAD, *, texts: tuple[str, ...] = ("Hello",), attempt: int = 1) -> Message:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in texts]
    id_, now = new_id(), datetime.now(UTC)
    return Message(str(id_), id_, 1, new_id(), new_id(), Post(place, blocks).dump(), now, attempt=attempt)


async def test_a_message_is_posted_into_its_thread_with_its_id_and_without_previews(
    handler: SlackIntegrationHandler, slack: FakeSlack
) -> None:
    sent = message()

    delivered = await handler.deliver(sent, CONFIG)

    [posted] = slack.messages
    assert delivered.provider_id == f"C1:{posted['ts']}"
    assert (posted["channel"], posted["thread_ts"], posted["text"]) == ("C1", "17.5", "Hello")
    assert posted["metadata"]["event_payload"] == {"delivery_id": sent.id}
    assert (posted["unfurl_links"], posted["unfurl_media"]) == ("false", "false")


async def test_a_direct_message_is_found_by_e_mail_and_remembered(
    handler: SlackIntegrationHandler, slack: FakeSlack
) -> None:
    for _ in range(2):
        await handler.deliver(message(Place(email="ana@example.com")), CONFIG)

    assert [method for method, _ in slack.calls] == ["users.lookupByEmail", "conversations.open", POST, POST]
    assert {each["channel"] for each in slack.messages} == {"DU1"}


async def test_a_post_whose_answer_was_dropped_is_found_and_not_repeated(
    handler: SlackIntegrationHandler, slack: FakeSlack
) -> None:
    slack.faults[POST] = [drops_the_answer]

    delivered = await handler.deliver(message(), CONFIG)

    assert len(slack.messages) == 1
    assert delivered.provider_id == f"C1:{slack.messages[0]['ts']}"


async def test_a_post_that_an_earlier_try_left_behind_is_found_before_anything_is_posted(
    handler: SlackIntegrationHandler, slack: FakeSlack
) -> None:
    sent = message(Place(user="U1"))
    await handler.deliver(sent, CONFIG)

    again = await handler.deliver(Message(**{**sent.__dict__, "attempt": 2}), CONFIG)

    assert len(slack.messages) == 1
    assert again.provider_id == f"DU1:{slack.messages[0]['ts']}"


@pytest.mark.parametrize("look_up", [limits(3), refuses("internal_error"), drops_the_answer])
async def test_nothing_is_posted_again_while_it_is_unknown_whether_it_arrived(
    handler: SlackIntegrationHandler, slack: FakeSlack, look_up: Fault
) -> None:
    slack.faults["conversations.replies"] = [look_up]

    with pytest.raises(DeliveryDelayed):
        await handler.deliver(message(attempt=2), CONFIG)

    assert slack.messages == []


async def test_a_try_that_may_have_worked_counts_as_one_even_if_it_could_not_be_looked_up(
    handler: SlackIntegrationHandler, slack: FakeSlack
) -> None:
    slack.faults = {POST: [drops_the_answer], "conversations.replies": [limits(30)]}
    with pytest.raises(DeliveryDelayed):
        await handler.deliver(message(), CONFIG)
    slack.faults = {POST: [drops_the_answer]}

    with pytest.raises(DeliveryDelayed):
        await handler.deliver(message(), CONFIG)


async def test_halves_of_which_one_was_sent_count_as_a_try(handler: SlackIntegrationHandler, slack: FakeSlack) -> None:
    slack.faults[POST] = [refuses("msg_too_long"), lambda _arguments: ok(ts="1.2"), limits(30)]

    with pytest.raises(DeliveryDelayed):
        await handler.deliver(message(texts=("a", "b")), CONFIG)


async def test_a_call_that_never_left_is_not_looked_up(handler: SlackIntegrationHandler, slack: FakeSlack) -> None:
    def unreachable(_arguments: object) -> httpx.Response:
        raise httpx.ConnectError("no route")

    slack.faults[POST] = [unreachable]

    with pytest.raises(DeliveryDelayed):
        await handler.deliver(message(), CONFIG)

    assert [method for method, _ in slack.calls] == [POST]


async def test_what_slack_finds_too_long_is_sent_in_halves_and_nothing_is_lost_or_doubled_on_the_way(
    handler: SlackIntegrationHandler, slack: FakeSlack
) -> None:
    slack.faults[POST] = [refuses("msg_blocks_too_long"), refuses("msg_blocks_too_long")]
    sent = message(texts=("a", "b", "c", "d"))
    await handler.deliver(sent, CONFIG)
    first = [(block["text"]["text"]) for each in slack.messages for block in each["blocks"]]
    slack.faults[POST] = [refuses("msg_blocks_too_long"), refuses("msg_blocks_too_long")]

    await handler.deliver(Message(**{**sent.__dict__, "attempt": 2}), CONFIG)

    assert first == ["a", "b", "c", "d"]
    assert [block["text"]["text"] for each in slack.messages for block in each["blocks"]] == first
    assert len({each["metadata"]["event_payload"]["delivery_id"] for each in slack.messages}) == 3


async def test_an_answer_whose_buttons_slack_does_not_take_arrives_without_them(
    handler: SlackIntegrationHandler, slack: FakeSlack
) -> None:
    slack.faults[POST] = [refuses("invalid_blocks")]
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "Hello"}}
    body = Post(THREAD, [section, {"type": "actions", "elements": []}]).dump()

    await handler.deliver(Message(**{**message().__dict__, "body": body}), CONFIG)

    assert [each["blocks"] for each in slack.messages] == [[section]]


async def test_one_block_that_is_too_long_is_final(handler: SlackIntegrationHandler, slack: FakeSlack) -> None:
    slack.faults[POST] = [refuses("msg_too_long")]

    with pytest.raises(DeliveryRejected):
        await handler.deliver(message(), CONFIG)


@pytest.mark.parametrize("error", sorted(ACCOUNT))
async def test_a_refused_account_pauses_slack(handler: SlackIntegrationHandler, slack: FakeSlack, error: str) -> None:
    slack.faults = {POST: [refuses(error)], "auth.test": [refuses(error)]}

    with pytest.raises(IntegrationPaused, match=error):
        await handler.deliver(message(), CONFIG)
    with pytest.raises(IntegrationPaused, match=error):
        await handler.probe()
    await handler.probe()

    assert len(slack.called(POST)) == 1


@pytest.mark.parametrize("error", ["channel_not_found", "is_archived", "not_in_channel", "never_heard_of_it"])
async def test_a_refused_place_is_final(handler: SlackIntegrationHandler, slack: FakeSlack, error: str) -> None:
    slack.faults[POST] = [refuses(error)]

    with pytest.raises(DeliveryRejected) as caught:
        await handler.deliver(message(), CONFIG)

    assert caught.value.words == error


async def test_a_person_whom_slack_does_not_know_is_final(handler: SlackIntegrationHandler) -> None:
    with pytest.raises(DeliveryRejected, match="No member"):
        await handler.deliver(message(Place(email="nobody@example.com")), CONFIG)


async def test_a_missing_scope_is_named(handler: SlackIntegrationHandler, slack: FakeSlack) -> None:
    slack.faults["users.lookupByEmail"] = [refuses("missing_scope", needed="users:read.email")]

    with pytest.raises(DeliveryRejected, match=r"users:read\.email"):
        await handler.deliver(message(Place(email="ana@example.com")), CONFIG)


async def test_no_call_is_made_before_retry_after_has_passed(
    handler: SlackIntegrationHandler, slack: FakeSlack
) -> None:
    slack.faults[POST] = [limits(30)]

    with pytest.raises(DeliveryDelayed) as delayed:
        await handler.deliver(message(), CONFIG)
    for _ in range(5):
        with pytest.raises(DeliveryPostponed) as caught:
            await handler.deliver(message(), CONFIG)

    assert len(slack.called(POST)) == 1
    assert delayed.value.retry_after_s == 30
    assert 0 < caught.value.after_s <= 30


@pytest.mark.parametrize(
    "answer",
    [
        *(httpx.Response(500), httpx.Response(200, content=b"<html>"), httpx.Response(200, json=[])),
        *(httpx.Response(302, headers={"location": "https://evil.example"}), httpx.Response(403)),
        *(httpx.Response(200, json={"ok": True}), httpx.Response(200, content=b'"' + b"x" * 5_000_000)),
    ],
)
async def test_an_answer_that_cannot_be_read_is_a_delay(
    handler: SlackIntegrationHandler, slack: FakeSlack, answer: httpx.Response
) -> None:
    slack.faults[POST] = [lambda _arguments: answer]

    with pytest.raises(DeliveryDelayed):
        await handler.deliver(message(), CONFIG)


@pytest.mark.parametrize("channel", ["general", "#general", "D123", "C1; drop", "C" * 50, ""])
def test_only_the_id_of_a_channel_can_be_chosen(handler: SlackIntegrationHandler, channel: str) -> None:
    with pytest.raises(InvalidRequest):
        handler.settle({"channel": channel}, None, datetime.now(UTC))
