"""Slack: back into the thread, else a direct message or the person's channel. Source: https://docs.slack.dev/reference/methods"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, ValidationError
from shared_models.errors import InvalidRequest
from shared_models.logging import get_logger
from shared_models.schemas import AgentResponse, Metadata

from integration_dispatcher.domain.schedule import Schedule
from integration_dispatcher.domain.selection import Defaults
from integration_dispatcher.domain.slack_message import Json, Place, Post, posts_of, target_of, text_of
from integration_dispatcher.domain.templates import words
from integration_dispatcher.handlers.base import (
    Delivered,
    DeliveryDelayed,
    DeliveryRejected,
    Edges,
    IntegrationConfig,
    IntegrationPaused,
    Message,
    Notice,
    Settled,
)
from integration_dispatcher.slack_api import SlackApi, SlackRefused, SlackSilent, slack_api, text_at
from integration_dispatcher.slack_errors import refusal
from integration_dispatcher.slack_pace import SlackBusy, after_a_call
from integration_dispatcher.slack_people import SlackPeople
from integration_dispatcher.slack_search import find_post

EVENT_TYPE = "self_service_answer"
INVALID = "invalid_blocks"
TOO_LONG = frozenset({"msg_blocks_too_long", "msg_too_long"})

log = get_logger(__name__)


class SlackConfig(IntegrationConfig):
    """`channel`: where answers go that were not asked for in Slack; empty: a direct message."""

    channel: Annotated[str, Field(pattern=r"^[CG][A-Z0-9]{2,30}$")] | None = None


def slack_handler(edges: Edges) -> "SlackIntegrationHandler":
    return SlackIntegrationHandler(slack_api(edges.settings, edges.http, edges.database))


class SlackIntegrationHandler:
    config_type = SlackConfig
    defaults = Defaults(enabled=True, priority=1, retry_count=10, retry_delay_s=2)
    schedule = Schedule(growth=3, cap_s=7200, expires_after_s=24 * 3600)

    def __init__(self, api: SlackApi) -> None:
        self._api = api
        self._people = SlackPeople(api)

    def is_set_up(self, config: Metadata) -> bool:
        """A person is found by their e-mail address."""
        return True

    def settle(self, given: Metadata, known: IntegrationConfig | None, now: datetime) -> Settled:
        try:
            config = SlackConfig.model_validate(given)
        except ValidationError as exc:
            raise InvalidRequest("config: Slack has channel alone, the id of a channel (C0123ABCD)") from exc
        return Settled(shown=config.model_dump(exclude_none=True))

    def address(self, config: Metadata) -> str:
        """A direct message finds its person by what the identity provider has verified, and the bot writes only where it was invited."""
        return ""

    def target(self, answer: AgentResponse, user_id: UUID, config: Metadata) -> str:
        return target_of(answer, str(config.get("channel") or ""))

    def parts(self, answer: AgentResponse, config: Metadata) -> list[str]:
        return [post.dump() for post in posts_of(answer, words(answer), str(config.get("channel") or ""))]

    async def deliver(self, message: Message, config: IntegrationConfig) -> Delivered:
        post = Post.load(message.body)
        try:
            channel = await self._channel(post.place)
            ts = await self._send(message, Place(channel, post.place.thread), post.blocks)
        except (SlackBusy, SlackSilent, SlackRefused) as exc:
            raise refusal(exc) from exc
        return Delivered(provider_id=f"{channel}:{ts}")

    async def notify(self, notice: Notice, config: IntegrationConfig) -> bool:
        """Nothing has to be proven: see `address`."""
        raise DeliveryRejected("A Slack address needs no proof.")

    async def probe(self) -> None:
        try:
            await self._api.call("auth.test", {})
        except (SlackBusy, SlackSilent, SlackRefused) as exc:
            problem = refusal(exc)
            raise problem if isinstance(problem, IntegrationPaused) else DeliveryDelayed(str(problem)) from exc

    async def _channel(self, place: Place) -> str:
        if place.channel:
            return place.channel
        return await self._people.direct_message(place.user or await self._people.by_email(place.email))

    async def _send(self, message: Message, place: Place, blocks: Sequence[Json], *, key: str = "") -> str:
        """Post it, in halves where Slack finds it too long, without buttons where it does not take these.

        Returns the `ts` of the (first) message."""
        key = key or message.id
        try:
            return await self._post_once(message, place, list(blocks), key)
        except SlackRefused as exc:
            words_alone = [block for block in blocks if block["type"] == "section"]
            if exc.error == INVALID and 0 < len(words_alone) < len(blocks):
                log.error("slack_blocks_refused", cause=exc.words)
                return await self._send(message, place, words_alone, key=key)
            if exc.error not in TOO_LONG or len(blocks) < 2:
                raise
        half = len(blocks) // 2
        with after_a_call():
            first = await self._send(message, place, blocks[:half], key=f"{key}/1")
            await self._send(message, place, blocks[half:], key=f"{key}/2")
        return first

    async def _post_once(self, message: Message, place: Place, blocks: list[Json], key: str) -> str:
        """A try that may have worked without our knowing is looked for before it is repeated, in this try or an earlier one."""
        if message.attempt > 1 and (found := await find_post(self._api, place, message.delivery_id, key)):
            return found
        try:
            return await self._post(place, blocks, key)
        except SlackSilent as exc:
            with after_a_call():
                if exc.may_have_worked and (found := await find_post(self._api, place, message.delivery_id, key)):
                    return found
            raise

    async def _post(self, place: Place, blocks: list[Json], key: str) -> str:
        arguments = {
            "channel": place.channel,
            "thread_ts": place.thread,
            "text": text_of(blocks),
            "blocks": blocks,
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"delivery_id": key}},
            # A preview would make Slack call an address that a model has written.
            "unfurl_links": False,
            "unfurl_media": False,
        }
        reply = await self._api.call("chat.postMessage", arguments, channel=place.channel)
        return text_at(reply, "ts")
