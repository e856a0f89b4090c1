"""What a person writes in Slack: a direct message, a mention, a follow-up in their thread, the slash command, a press on stop."""

from collections.abc import Mapping
from typing import Any

from shared_models.api import SlackRequest, UserView
from shared_models.commands import command_of
from shared_models.schemas import Metadata

from integration_dispatcher.domain.slack_words import is_for_somebody_else, plain
from integration_dispatcher.domain.templates import UNREAD_FILES
from integration_dispatcher.inbound import slack_arrivals as arrivals
from integration_dispatcher.inbound.base import InboundEdges
from integration_dispatcher.inbound.forwarding import forward
from integration_dispatcher.inbound.slack_calls import SlackCalls
from integration_dispatcher.inbound.slack_identity import SlackIdentity
from integration_dispatcher.inbound.slack_progress import TS, thread_of
from integration_dispatcher.inbound.slack_thread import SlackThreads
from integration_dispatcher.slack_api import slack_api
from integration_dispatcher.store import inbound as store
from integration_dispatcher.store.inbound import Ended, InboundEvent

HELP, CANCEL = "help", "cancel"
SHORT_ANSWER_WORDS = 3
BEFORE = "Said before in this Slack thread:\n{before}\n\nMy question:\n{words}"
UNKNOWN = (
    "I do not know who you are here, so I cannot help you yet. I know people by the verified e-mail address of their Slack "
    "account, if it belongs to this workspace. Ask your IT team or a workspace administrator to check yours, then write again."
)
GIVEN_UP = "Sorry, I could not take your message because of an error on our side. Please send it again."
ONLY_FILES = "I cannot read files: {names}. Please tell me in words what you need."
# Places where nothing can be said (any more): then nothing is said.
UNREACHABLE = (
    *("channel_not_found", "not_in_channel", "is_archived", "user_not_in_channel", "thread_not_found"),
    *("cannot_dm_bot", "user_not_found", "user_disabled", "messages_tab_disabled", "restricted_action"),
)

type Json = dict[str, Any]


def slack_processor(edges: InboundEdges) -> "SlackProcessor":
    api = slack_api(edges.settings, edges.http, edges.database)
    return SlackProcessor(edges, SlackCalls(api))


class SlackProcessor:
    def __init__(self, edges: InboundEdges, calls: SlackCalls) -> None:
        self._database = edges.database
        self._manager = edges.manager
        self._progress = edges.progress
        self._calls = calls
        self._identity = SlackIdentity(calls, edges.people)
        self._threads = SlackThreads(calls, self._identity)

    async def process(self, event: InboundEvent) -> Ended:
        payload = event.payload
        match payload.get("kind"):
            case arrivals.MESSAGE:
                return await self._message(event)
            case arrivals.COMMAND:
                return await self._command(event)
            case arrivals.STOPPED:
                return await self._stop(event)
            case _:
                return Ended("ignored", "nothing that this version knows")

    async def tell_given_up(self, event: InboundEvent) -> None:
        match event.payload.get("kind"):
            case arrivals.MESSAGE:
                await self._say(event.payload, GIVEN_UP)
            case arrivals.COMMAND:
                await self._say(event.payload | {"channel": await self._direct_message(event.payload)}, GIVEN_UP)

    async def _message(self, event: InboundEvent) -> Ended:
        payload = event.payload
        if reason := await self._is_not_for_us(event):
            return Ended("ignored", reason)
        person = await self._identity.person(payload["team"], payload["user"])
        if person is None:
            return await self._unknown(payload)
        words = plain(payload["text"], payload["bot"])
        names = [str(each["name"]) for each in payload["files"]]
        if names and not words:
            await self._say(payload, ONLY_FILES.format(names=", ".join(names)))
            return Ended("answered", "only files", user_id=person.user_id)
        await self._progress.begun(payload)
        content = await self._with_thread(event, words, person) if words else HELP
        metadata: Metadata = {TS: payload["ts"]} | ({UNREAD_FILES: [*names]} if names else {})
        request = _request(payload, person, content, thread=thread_of(payload), metadata=metadata)
        return await forward(self._manager, request, f"slack:{payload['team']}:{payload['channel']}:{payload['ts']}")

    async def _is_not_for_us(self, event: InboundEvent) -> str:
        """Why a message is none of our business; empty: it is. In a thread the one who called us need not call again."""
        payload = event.payload
        if payload["channel"].startswith("D") or payload["is_mention"]:
            return ""
        if is_for_somebody_else(payload["text"], payload["bot"]):
            return "it calls somebody else"
        if payload["is_reply_to_bot"]:
            return ""
        people = await store.people_of(self._database, event.conversation)
        if not people:
            return "a thread that we take no part in"
        person = await self._identity.person(payload["team"], payload["user"])
        return "" if person is not None and person.user_id in people else "another one's conversation"

    async def _with_thread(self, event: InboundEvent, words: str, person: UserView) -> str:
        """A mention inside a thread is about what was said there."""
        payload = event.payload
        if not payload["is_mention"] or payload["thread"] in ("", payload["ts"]) or command_of(words):
            return words
        if len(words.split()) <= SHORT_ANSWER_WORDS and person.user_id in await store.people_of(
            self._database, event.conversation
        ):
            return words  # a yes or no to what we have asked is read in code, and must stand alone
        before = await self._threads.before(payload)
        return BEFORE.format(before=before, words=words) if before else words

    async def _command(self, event: InboundEvent) -> Ended:
        """Answered by direct message: a command may be typed where the app is not, and its text is shown to nobody."""
        payload = event.payload | {"channel": await self._direct_message(event.payload)}
        person = await self._identity.person(payload["team"], payload["user"])
        if person is None:
            return await self._unknown(payload)
        request = _request(payload, person, plain(payload["text"]) or HELP)
        return await forward(self._manager, request, event.dedupe_key)

    async def _stop(self, event: InboundEvent) -> Ended:
        payload = event.payload
        person = await self._identity.person(payload["team"], payload["user"])
        if person is None:
            return Ended("ignored", "nobody is known by this id")
        request = _request(payload, person, CANCEL, thread=payload["thread"])
        return await forward(self._manager, request, event.dedupe_key)

    async def _unknown(self, payload: Json) -> Ended:
        await self._say(payload, UNKNOWN)
        return Ended("answered", "nobody is known by this id")

    async def _direct_message(self, payload: Json) -> str:
        return await self._calls.text("conversations.open", {"users": payload["user"]}, "channel", "id")

    async def _say(self, payload: Json, text: str) -> None:
        """To this person alone: in a channel nobody else sees it."""
        is_direct = payload["channel"].startswith("D")
        arguments = {"channel": payload["channel"], "text": text, "thread_ts": payload.get("thread")}
        if is_direct:
            await self._calls.ask("chat.postMessage", arguments, none_for=UNREACHABLE, channel=payload["channel"])
        else:
            await self._calls.ask("chat.postEphemeral", arguments | {"user": payload["user"]}, none_for=UNREACHABLE)


def _request(
    payload: Json, person: UserView, content: str, *, thread: str = "", metadata: Mapping[str, Any] | None = None
) -> SlackRequest:
    return SlackRequest(
        user_id=person.user_id,
        content=content,
        channel_id=payload["channel"],
        thread_id=thread or None,
        slack_user_id=payload["user"],
        slack_team_id=payload["team"],
        metadata=dict(metadata or {}),
    )
