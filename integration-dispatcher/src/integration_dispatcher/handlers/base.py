"""What every integration's handler is and says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from shared_models.schemas import AgentResponse, Metadata

from integration_dispatcher.domain.schedule import Schedule
from integration_dispatcher.domain.selection import Defaults
from integration_dispatcher.guarded_http import GuardedHttp


class IntegrationConfig(BaseModel):
    """What a person has set, secrets included, as the handler reads it. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Message:
    """One part on its way. `id` is stable over all tries, so that a receiver can recognise a repetition."""

    id: str
    delivery_id: UUID
    part: int
    request_id: UUID
    user_id: UUID
    body: str
    sent_at: datetime


@dataclass(frozen=True)
class Settled:
    """A person's settings after a change. `shown` may be read again, `hidden` is encrypted, `new_secret` is told this once."""

    shown: Metadata = field(default_factory=dict)
    hidden: Metadata = field(default_factory=dict)
    new_secret: str | None = None


@dataclass(frozen=True)
class Delivered:
    """`provider_id`: the provider's name for the message; `code`: its status."""

    provider_id: str = ""
    code: int | None = None


class DeliveryDelayed(Exception):
    """Not delivered this time; trying again may help. `words`: what the provider said."""

    def __init__(
        self, reason: str, *, code: int | None = None, words: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.words = words
        self.retry_after_s = retry_after_s


class DeliveryRejected(Exception):
    """Never: the provider or a rule of ours refuses for good. `disables`: the integration is switched off as well."""

    def __init__(self, reason: str, *, code: int | None = None, words: str = "", disables: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.words = words
        self.disables = disables


class IntegrationHandler(Protocol):
    """One integration. `config_type` reads the stored settings; `defaults` and `schedule` hold where nobody sets others."""

    @property
    def config_type(self) -> type[IntegrationConfig]: ...

    @property
    def defaults(self) -> Defaults: ...

    @property
    def schedule(self) -> Schedule: ...

    def is_set_up(self, config: Metadata) -> bool:
        """True when the shown part of the settings says where to deliver."""

    def settle(self, given: Metadata, known: IntegrationConfig | None, now: datetime) -> Settled:
        """The settings after a person's change; `known`: those before. Raises InvalidRequest."""

    def target(self, user_id: UUID, config: Metadata) -> str:
        """Where it goes, as a short text without secrets. Messages to one target leave in order."""

    def parts(self, answer: AgentResponse) -> list[str]:
        """The message as this integration sends it, one text per part. Pure."""

    async def deliver(self, message: Message, config: IntegrationConfig) -> Delivered:
        """Send one part. Raises DeliveryDelayed, DeliveryRejected."""


@dataclass(frozen=True)
class Edges:
    """What handlers are built from. `keep_test_message(message)` writes into the test inbox."""

    guarded_http: GuardedHttp
    keep_test_message: Callable[[Message], Awaitable[None]]
    public_url: str = ""
    is_local: bool = False
