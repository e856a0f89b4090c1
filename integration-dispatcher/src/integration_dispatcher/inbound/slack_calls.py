"""Slack's Web API as inbound events need it: what passes is tried again with the event, what is refused for good ends it."""

from collections.abc import Collection, Mapping
from typing import Any

from shared_models.work_item import GiveUp, RetryLater

from integration_dispatcher.handlers.base import DeliveryDelayed, DeliveryPostponed, IntegrationPaused
from integration_dispatcher.slack_api import SlackApi, SlackRefused, SlackSilent, text_at
from integration_dispatcher.slack_errors import refusal
from integration_dispatcher.slack_pace import SlackBusy

PAUSED_S = 60.0

type Json = dict[str, Any]


class SlackCalls:
    def __init__(self, api: SlackApi) -> None:
        self._api = api

    async def ask(
        self, method: str, arguments: Mapping[str, Any], *, none_for: Collection[str] = (), channel: str = ""
    ) -> Json | None:
        """Slack's reply; None for the refusals named in `none_for`. `channel`: the call posts there.

        Raises RetryLater, GiveUp."""
        try:
            return await self._api.call(method, arguments, channel=channel)
        except SlackRefused as exc:
            if exc.error in none_for:
                return None
            raise _verdict(method, exc) from exc
        except (SlackBusy, SlackSilent) as exc:
            raise _verdict(method, exc) from exc

    async def text(self, method: str, arguments: Mapping[str, Any], *names: str) -> str:
        """A text inside the reply. Raises RetryLater, GiveUp."""
        reply = await self.ask(method, arguments)
        try:
            return text_at(reply or {}, *names)
        except SlackSilent as exc:
            raise _verdict(method, exc) from exc


def _verdict(method: str, exc: SlackBusy | SlackSilent | SlackRefused) -> RetryLater | GiveUp:
    failure = refusal(exc)
    if isinstance(failure, IntegrationPaused):
        return RetryLater(f"{method}: {failure}", after_s=PAUSED_S)
    if isinstance(failure, DeliveryPostponed):
        return RetryLater(f"{method}: {failure}", after_s=failure.after_s, counted=False)
    if isinstance(failure, DeliveryDelayed):
        return RetryLater(f"{method}: {failure}", after_s=failure.retry_after_s)
    return GiveUp(f"{method}: {failure}")
