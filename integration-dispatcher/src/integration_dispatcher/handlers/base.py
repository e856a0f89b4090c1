"""What every integration's handler is and says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict
from shared_models.database import Database
from shared_models.schemas import AgentResponse, Metadata

from integration_dispatcher.domain.schedule import Schedule
from integration_dispatcher.domain.selection import Defaults
from integration_dispatcher.guarded_http import GuardedHttp
from integration_dispatcher.settings import Settings


class IntegrationConfig(BaseModel):
    """What a person has set, secrets included, as the handler reads it. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Message:
    """One part on its way. `id` is stable over all tries, so that a receiver can recognise a repetition.

    `attempt` counts from 1: above, an earlier try may have arrived. `target` and `body` are those the handler planned."""

    id: str
    delivery_id: UUID
    part: int
    request_id: UUID
    user_id: UUID
    body: str
    sent_at: datetime
    target: str = ""
    attempt: int = 1


@dataclass(frozen=True)
class Notice:
    """A short text about the integration itself: the code that proves an address. `challenge` is for receivers that are
    programs: one that echoes it has proven the same."""

    id: str
    user_id: UUID
    subject: str
    text: str
    code: str
    challenge: str
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


class DeliveryPostponed(Exception):
    """Not tried: the provider wants no message before `after_s` have passed. It counts as nothing."""

    def __init__(self, reason: str, *, after_s: float) -> None:
        super().__init__(reason)
        self.after_s = after_s


class DeliveryRejected(Exception):
    """Never: the provider or a rule of ours refuses for good. `disables`: the integration is switched off as well."""

    def __init__(self, reason: str, *, code: int | None = None, words: str = "", disables: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.words = words
        self.disables = disables


class IntegrationPaused(Exception):
    """The account at the provider is refused (a revoked token, a wrong password): no message can leave until an operator has
    seen to it. Deliveries wait without counting attempts, until `probe` succeeds. `words`: what the provider said."""

    def __init__(self, reason: str, *, code: int | None = None, words: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.words = words


class IntegrationHandler(Protocol):
    """One integration. `config_type` reads the stored settings; `defaults` and `schedule` hold where nobody sets others."""

    @property
    def config_type(self) -> type[IntegrationConfig]: ...

    @property
    def defaults(self) -> Defaults: ...

    @property
    def schedule(self) -> Schedule: ...

    def is_set_up(self, config: Metadata) -> bool:
        """True when it is known where to deliver: by the shown part of the person's settings, or without any."""

    def settle(self, given: Metadata, known: IntegrationConfig | None, now: datetime) -> Settled:
        """The settings after a person's change; `known`: those before. Raises InvalidRequest."""

    def address(self, config: Metadata) -> str:
        """What the person must prove to be theirs before it is used, in its one spelling; empty: nothing to prove."""

    def target(self, answer: AgentResponse, user_id: UUID, config: Metadata) -> str:
        """Where it goes, as a short text without secrets. Messages to one target leave in order.

        `answer.delivery` with mode `origin`: back to `answer.delivery.context`, else to the person's own address."""

    def parts(self, answer: AgentResponse, config: Metadata) -> list[str]:
        """The message as this integration sends it, one text per part, which only `deliver` reads. Pure."""

    async def deliver(self, message: Message, config: IntegrationConfig) -> Delivered:
        """Send one part. Raises DeliveryDelayed, DeliveryPostponed, DeliveryRejected, IntegrationPaused."""

    async def notify(self, notice: Notice, config: IntegrationConfig) -> bool:
        """Send a notice to the address of `config` now; True: the receiver has proven itself by echoing the challenge.

        Raises DeliveryDelayed, DeliveryRejected, IntegrationPaused."""

    async def probe(self) -> None:
        """Ask the provider, cheaply and without a message, whether the account works. Raises DeliveryDelayed, IntegrationPaused."""


@dataclass(frozen=True)
class Edges:
    """What handlers are built from. `http` calls the providers that the settings name, `guarded_http` what people name.

    `keep_test_message(message)` writes into the test inbox."""

    settings: Settings
    database: Database
    http: httpx.AsyncClient
    guarded_http: GuardedHttp
    keep_test_message: Callable[[Message], Awaitable[None]]
