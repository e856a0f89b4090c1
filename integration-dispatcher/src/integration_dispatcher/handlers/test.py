"""The test integration: messages land in an inbox that can be read and cleared over the API. For trying out, and for CI."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from pydantic import ValidationError
from shared_models.errors import InvalidRequest
from shared_models.schemas import AgentResponse, Metadata

from integration_dispatcher.domain.schedule import Schedule
from integration_dispatcher.domain.selection import Defaults
from integration_dispatcher.domain.templates import words
from integration_dispatcher.handlers.base import Delivered, IntegrationConfig, Message, Notice, Settled


class TestConfig(IntegrationConfig):
    """Nothing to set."""

    __test__ = False


class TestIntegrationHandler:
    """Switched on by default in the local profile only."""

    __test__ = False

    config_type = TestConfig
    schedule = Schedule(growth=2, cap_s=60, expires_after_s=3600)

    def __init__(self, keep: Callable[[Message], Awaitable[None]], *, enabled: bool) -> None:
        self._keep = keep
        self.defaults = Defaults(enabled=enabled, priority=5, retry_count=1, retry_delay_s=10)

    def is_set_up(self, config: Metadata) -> bool:
        return True

    def settle(self, given: Metadata, known: IntegrationConfig | None, now: datetime) -> Settled:
        try:
            TestConfig.model_validate(given)
        except ValidationError as exc:
            raise InvalidRequest("config: the test integration has no settings") from exc
        return Settled()

    def address(self, config: Metadata) -> str:
        return ""

    def target(self, answer: AgentResponse, user_id: UUID, config: Metadata) -> str:
        return str(user_id)

    def parts(self, answer: AgentResponse, config: Metadata) -> list[str]:
        return [words(answer)]

    async def deliver(self, message: Message, config: IntegrationConfig) -> Delivered:
        await self._keep(message)
        return Delivered(provider_id=message.id)

    async def notify(self, notice: Notice, config: IntegrationConfig) -> bool:
        return True

    async def probe(self) -> None:
        """The inbox is a table of ours."""
