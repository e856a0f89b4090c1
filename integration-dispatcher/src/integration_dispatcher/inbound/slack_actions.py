"""What comes of a press in Slack: a decision, feedback, the list of one's requests, a new topic. One effect however often it comes."""

from collections.abc import Collection

from shared_models.api import FeedbackBody, RequestItem, SlackRequest, UserView
from shared_models.enums import RequestStatus
from shared_models.errors import UpstreamRejected
from shared_models.logging import get_logger
from shared_models.schemas import ConfirmDecision
from shared_models.work_item import GiveUp

from integration_dispatcher.domain.slack_buttons import (
    CONFIRM,
    DECIDING,
    FEEDBACK,
    MY_REQUESTS,
    NEW_TOPIC,
    REASON_VIEW,
    REJECT,
    reason_view,
    settled,
)
from integration_dispatcher.domain.slack_message import text_of
from integration_dispatcher.domain.slack_press import Press, metadata_of, rating_of, read_press
from integration_dispatcher.domain.slack_text import escape
from integration_dispatcher.inbound.base import InboundEdges
from integration_dispatcher.inbound.forwarding import forward
from integration_dispatcher.inbound.slack_calls import SlackCalls
from integration_dispatcher.inbound.slack_identity import SlackIdentity
from integration_dispatcher.slack_api import slack_api
from integration_dispatcher.store.inbound import Ended, InboundEvent

LISTED = 8
NOT_YOURS = "This button is for the person who asked. Ask me yourself, and I will help you."
WHO_ARE_YOU = "I do not know who you are here, so this button does nothing for you."
GIVEN_UP = "Sorry, this press came to nothing because of an error on our side. Please try again."
NO_REQUESTS = "You have no requests yet."
WORDS = {CONFIRM: "Yes, go ahead", REJECT: "No"}
SAID = {CONFIRM: "✅ You said yes.", REJECT: "❌ You said no. Nothing was done."}
THANKS = {"up": "👍 Thank you for your feedback.", "down": "👎 Thank you for your feedback. We will look into it."}
NEW_TOPIC_SAID = "🆕 New topic."
# The message or the place is gone, or the modal came too late: what was pressed counts all the same.
GONE = (
    *("message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found", "not_in_channel"),
    *("is_archived", "user_not_in_channel", "thread_not_found", "msg_too_long", "invalid_blocks", "missing_scope"),
    *("expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id", "trigger_expired", "trigger_exchanged"),
)

log = get_logger(__name__)


def slack_actions(edges: InboundEdges) -> "SlackActions":
    calls = SlackCalls(slack_api(edges.settings, edges.http, edges.database))
    return SlackActions(edges, calls, SlackIdentity(calls, edges.people))


class SlackActions:
    def __init__(self, edges: InboundEdges, calls: SlackCalls, identity: SlackIdentity) -> None:
        self._manager = edges.manager
        self._as_person = edges.as_person
        self._calls = calls
        self._identity = identity

    async def process(self, event: InboundEvent) -> Ended:
        press = read_press(event.payload)
        if press is None:
            return Ended("ignored", "nothing that our messages offer")
        person = await self._identity.person(press.where.team, press.where.user)
        if person is None:
            await self._whisper(press, WHO_ARE_YOU)
            return Ended("answered", "nobody is known by this id")
        if press.subject.user_id != person.user_id:
            await self._whisper(press, NOT_YOURS)
            return Ended("answered", "pressed by somebody else", user_id=person.user_id)
        try:
            return await self._act(press, person)
        except UpstreamRejected as exc:
            await self._whisper(press, escape(exc.refusal.message or GIVEN_UP))
            return Ended("answered", exc.upstream_code or "refused", user_id=person.user_id)

    async def tell_given_up(self, event: InboundEvent) -> None:
        press = read_press(event.payload)
        if press is not None:
            await self._whisper(press, GIVEN_UP)

    async def _act(self, press: Press, person: UserView) -> Ended:
        act = {
            CONFIRM: self._decide,
            REJECT: self._decide,
            NEW_TOPIC: self._new_topic,
            MY_REQUESTS: self._my_requests,
            FEEDBACK: self._feedback,
            REASON_VIEW: self._feedback,
        }.get(press.action)
        if act is None:
            return Ended("ignored", "a button of another version", user_id=person.user_id)
        return await act(press, person)

    async def _decide(self, press: Press, person: UserView) -> Ended:
        """The confirmation's id is the key: of several presses the first one counts."""
        id_ = press.subject.confirmation_id
        if id_ is None:
            raise GiveUp("the button has no confirmation")
        decision = ConfirmDecision(id=id_, decision="approve" if press.action == CONFIRM else "reject")
        body = _request(press, person, WORDS[press.action]).model_copy(
            update={"confirm": decision, "session_id": press.subject.session_id}
        )
        ended = await forward(self._manager, body, f"slack:confirm:{id_}")
        if ended.state == "forwarded":
            await self._settle(press, DECIDING, SAID[press.action])
        return ended

    async def _new_topic(self, press: Press, person: UserView) -> Ended:
        where = press.where
        body = _request(press, person, "new")
        ended = await forward(self._manager, body, f"slack:new:{where.team}:{where.channel}:{where.ts}")
        await self._settle(press, {NEW_TOPIC}, NEW_TOPIC_SAID)
        return ended

    async def _my_requests(self, press: Press, person: UserView) -> Ended:
        page = await self._as_person(person).requests(limit=LISTED)
        await self._whisper(press, "\n".join(map(_line, page.items)) or NO_REQUESTS)
        return Ended("answered", user_id=person.user_id)

    async def _feedback(self, press: Press, person: UserView) -> Ended:
        """Pressed twice, it is given once; a reason that follows is feedback of its own."""
        rating = rating_of(press) or "down"
        if press.action == FEEDBACK and rating == "down":
            view = {"trigger_id": press.trigger_id, "view": reason_view(metadata_of(press))}
            await self._calls.ask("views.open", view, none_for=GONE)
        body = FeedbackBody(rating=rating, reason=press.reason)
        client = self._as_person(person)
        last = (await client.request(press.subject.request_id)).feedback
        is_said = last is not None and last.rating == rating and (not body.reason or last.reason == body.reason)
        if not is_said:
            await client.feedback(press.subject.request_id, body)
        if press.action != REASON_VIEW:
            await self._settle(press, {FEEDBACK}, THANKS[rating])
        return Ended("answered", user_id=person.user_id)

    async def _settle(self, press: Press, pressed: Collection[str], words: str) -> None:
        """Show on the message what came of the press. Twice the same changes nothing."""
        if not press.blocks:
            return
        blocks = settled(press.blocks, pressed, words)
        where = press.where
        arguments = {"channel": where.channel, "ts": where.ts, "text": text_of(blocks), "blocks": blocks}
        if await self._calls.ask("chat.update", arguments, none_for=GONE) is None:
            log.info("slack_message_not_updated", action=press.action)

    async def _whisper(self, press: Press, text: str) -> None:
        """Seen by nobody else. `text` is mrkdwn."""
        where = press.where
        if where.channel:
            arguments = {"channel": where.channel, "user": where.user, "thread_ts": where.thread, "text": text}
            await self._calls.ask("chat.postEphemeral", arguments, none_for=GONE)


def _request(press: Press, person: UserView, content: str) -> SlackRequest:
    where = press.where
    return SlackRequest(
        user_id=person.user_id,
        content=content,
        channel_id=where.channel,
        thread_id=where.thread or None,
        slack_user_id=where.user,
        slack_team_id=where.team,
    )


def _line(item: RequestItem) -> str:
    """One request: its state, when, and how it began. Slack shows the time in the reader's zone."""
    seconds = int(item.created_at.timestamp())
    when = f"<!date^{seconds}^{{date_short_pretty}} {{time}}|{item.created_at:%Y-%m-%d %H:%M} UTC>"
    excerpt = escape(" ".join((item.excerpt or "").split())[:80])
    return f"{SIGNS[item.status]} {when} – {excerpt} ({item.status.value})"


SIGNS = {
    RequestStatus.ACCEPTED: "⏳",
    RequestStatus.PROCESSING: "⏳",
    RequestStatus.COMPLETED: "✅",
    RequestStatus.FAILED: "⚠️",
    RequestStatus.CANCELLED: "🚫",
    RequestStatus.EXPIRED: "⌛",
}
