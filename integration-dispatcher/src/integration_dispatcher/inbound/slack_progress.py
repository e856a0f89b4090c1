"""Showing in Slack that a message is being worked on: at once by a reaction, then by the session's status.

Only for the eye: what Slack does not take now is left out, nothing waits for it and nothing is tried again.
Sources: https://docs.slack.dev/reference/methods/reactions.add, https://docs.slack.dev/ai/agent-sessions"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from shared_models.database import Database
from shared_models.enums import IntegrationType
from shared_models.errors import Unavailable
from shared_models.schemas import AgentResponse, RequestProcessing

from integration_dispatcher.slack_api import SlackApi, SlackRefused, SlackSilent
from integration_dispatcher.slack_pace import SlackBusy
from integration_dispatcher.store import inbound as store
from integration_dispatcher.store import plans

SEEN, WORKING = "eyes", "hourglass_flowing_sand"
TOLD_AFTER_S = 2.0  # a run that takes longer has sent `request.processing`
BEGUN_WITHIN_S = 1.0
MOST_AT_ONCE = 32
TS = "slack_ts"
"""The name in a request's metadata of the message that it came from."""

type Json = dict[str, Any]


class SlackProgress:
    def __init__(self, api: SlackApi, database: Database) -> None:
        self._api = api
        self._database = database
        self._tasks: set[asyncio.Task[None]] = set()

    async def begun(self, payload: Json) -> None:
        """Awaited before the request is made: so that its end cannot take away a reaction that is not there yet."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BEGUN_WITHIN_S):
                await self._react("reactions.add", payload["channel"], payload["ts"], SEEN)

    def processing(self, request: RequestProcessing) -> None:
        if request.integration_type is IntegrationType.SLACK:
            self._start(self._show_work(request))

    def ended(self, answer: AgentResponse) -> None:
        if answer.integration_type is IntegrationType.SLACK and isinstance(answer.metadata.get(TS), str):
            self._start(self._clear(answer))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= MOST_AT_ONCE:
            work.close()
            return
        task = asyncio.create_task(work, name="slack progress")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _show_work(self, request: RequestProcessing) -> None:
        """In a thread Slack shows the agent at work, with a button to stop it; elsewhere another reaction does.

        It may come after the answer, whose end has then found nothing to take away."""
        with suppress(Unavailable):
            event = await store.of_request(self._database, request.request_id)
            if event is None or not event.payload.get("ts") or await plans.exists(self._database, request.request_id):
                return
            channel, ts, thread = str(event.payload["channel"]), str(event.payload["ts"]), thread_of(event.payload)
            if not (thread and await self._set_status(channel, thread, "processing")):
                await self._react("reactions.add", channel, ts, WORKING)
            if await plans.exists(self._database, request.request_id):
                await self._hide_work(channel, ts, thread)

    async def _clear(self, answer: AgentResponse) -> None:
        context = answer.delivery.context if answer.delivery is not None else {}
        channel, ts = str(context.get("channel_id") or ""), str(answer.metadata[TS])
        if not channel:
            return
        await self._react("reactions.remove", channel, ts, SEEN)
        if (answer.ended_at - answer.created_at).total_seconds() >= TOLD_AFTER_S:
            await self._hide_work(channel, ts, str(context.get("thread_id") or ""))

    async def _hide_work(self, channel: str, ts: str, thread: str) -> None:
        await self._react("reactions.remove", channel, ts, WORKING)
        if thread:
            await self._set_status(channel, thread, "active")

    async def _set_status(self, channel: str, thread: str, status: str) -> bool:
        return await self._try(
            "agents.sessions.setStatus", {"channel_id": channel, "thread_ts": thread, "status": status}
        )

    async def _react(self, method: str, channel: str, ts: str, name: str) -> None:
        await self._try(method, {"channel": channel, "timestamp": ts, "name": name})

    async def _try(self, method: str, arguments: Json) -> bool:
        try:
            await self._api.call(method, arguments)
        except (SlackBusy, SlackSilent, SlackRefused):
            return False
        return True


def thread_of(payload: Json) -> str:
    """The thread that the answer goes to: in a channel the message's own, if it began none; in a direct message none."""
    if str(payload.get("channel", "")).startswith("D"):
        return str(payload.get("thread") or "")
    return str(payload.get("thread") or payload.get("ts") or "")
