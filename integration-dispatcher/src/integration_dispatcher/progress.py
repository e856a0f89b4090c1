"""Showing people that a request is being worked on, where their integration can."""

from typing import Protocol

import httpx
from shared_models.database import Database
from shared_models.schemas import AgentResponse, Metadata, RequestProcessing

from integration_dispatcher.settings import Settings


class Progress(Protocol):
    """For the eye alone: none of this raises, and none but `begun` is waited for, which takes a second at most."""

    async def begun(self, payload: Metadata) -> None:
        """An inbound event is about to become a request."""

    def processing(self, request: RequestProcessing) -> None:
        """It takes more than two seconds."""

    def ended(self, answer: AgentResponse) -> None: ...

    async def close(self) -> None: ...


class NoProgress:
    async def begun(self, payload: Metadata) -> None:
        return

    def processing(self, request: RequestProcessing) -> None:
        return

    def ended(self, answer: AgentResponse) -> None:
        return

    async def close(self) -> None:
        return


def shown_progress(settings: Settings, http: httpx.AsyncClient, database: Database) -> Progress:
    if not settings.has_slack:
        return NoProgress()
    from integration_dispatcher.inbound.slack_progress import SlackProgress
    from integration_dispatcher.slack_api import slack_api

    return SlackProgress(slack_api(settings, http, database), database)
