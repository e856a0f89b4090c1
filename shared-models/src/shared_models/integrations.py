"""Bodies and views of integration-dispatcher's API, which people reach through request-manager."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from shared_models.api import Body
from shared_models.enums import DeliveryStatus, IntegrationType
from shared_models.schemas import Message, Metadata

MAX_CONFIG_FIELDS = 20


class IntegrationBody(Body):
    """A person's settings for one integration. None: the default's value; for `config`: what was there before.

    A webhook's config: `url`, and optionally `secret` (whsec_…) or `rotate_secret`."""

    enabled: bool = True
    config: Metadata | None = Field(default=None, max_length=MAX_CONFIG_FIELDS)
    priority: int | None = Field(default=None, ge=1, le=100, description="the lowest number comes first")
    retry_count: int | None = Field(default=None, ge=0, le=10, description="tries after the first one")
    retry_delay_seconds: int | None = Field(default=None, ge=0, le=3600, description="before the first retry")


class IntegrationView(Message):
    """A person's settings, without secrets. `secret` is one that has just been made: it is shown this once.

    Nothing is delivered to an address that is not verified; `verification` says in words what was just done about it."""

    integration: IntegrationType
    enabled: bool
    config: Metadata
    priority: int | None = None
    retry_count: int | None = None
    retry_delay_seconds: float | None = None
    disabled_reason: str = ""
    secret: str | None = None
    is_verified: bool = True
    verification: str = ""
    updated_at: datetime


class VerifyBody(Body):
    """The code that came to the address."""

    code: str = Field(min_length=1, max_length=20)


class IntegrationDefaultBody(Body):
    """An administrator's defaults for one integration. None: the environment's value."""

    enabled: bool | None = None
    priority: int | None = Field(default=None, ge=1, le=100)
    retry_count: int | None = Field(default=None, ge=0, le=20)
    retry_delay_seconds: float | None = Field(default=None, ge=0, le=86_400)


class IntegrationDefaultView(Message):
    """What holds for everybody who has set nothing."""

    integration: IntegrationType
    enabled: bool
    priority: int
    retry_count: int
    retry_delay_seconds: float
    source: Literal["environment", "administrator"]
    updated_at: datetime | None = None


class EffectiveIntegrationView(Message):
    """What holds for one person. `is_set_up`: it is known where to deliver; `is_verified`: the person has proven that the
    address is theirs; `is_used`: answers may go there; `reason`: why not; `disabled_reason`: why it was switched off for them,
    empty when they did it themselves; `is_paused`: its provider refuses our account, so that deliveries to everybody wait."""

    integration: IntegrationType
    enabled: bool
    is_set_up: bool
    is_verified: bool
    is_used: bool
    reason: str = ""
    disabled_reason: str = ""
    is_paused: bool = False
    priority: int
    retry_count: int
    retry_delay_seconds: float
    source: Literal["environment", "administrator", "user"]


class IntegrationHealthView(Message):
    """Whether an integration's account at its provider works, as the last check found it. paused: the provider refuses the
    account; deliveries wait, and go on when a check succeeds. failing: it did not answer as it should; they are tried."""

    integration: IntegrationType
    state: Literal["ok", "failing", "paused", "unknown"] = "unknown"
    reason: str = ""
    code: int | None = Field(default=None, description="the provider's, for example an HTTP status")
    since: datetime | None = None
    checked_at: datetime | None = None


class DeliveryView(Message):
    """One message to one target. `attempts` counts the tries of all its parts."""

    delivery_id: UUID
    request_id: UUID
    session_id: UUID
    user_id: UUID
    integration: IntegrationType
    target: str = ""
    parts: int = 1
    status: DeliveryStatus
    attempts: int = 0
    reason: str = ""
    provider_id: str = ""
    is_late: bool = Field(default=False, description="it succeeded after another integration had been started")
    created_at: datetime
    next_attempt_at: datetime | None = None
    expires_at: datetime
    ended_at: datetime | None = None


class DeliveryAttemptView(Message):
    """One try. `outcome`: None while it goes on; interrupted: the process ended meanwhile; paused: the provider refused our
    account, which does not count. `detail`: the provider's words."""

    part: int = 1
    number: int
    outcome: Literal["delivered", "delayed", "rejected", "interrupted", "paused"] | None = None
    code: int | None = Field(default=None, description="the provider's, for example an HTTP status")
    detail: str = ""
    started_at: datetime
    ended_at: datetime | None = None


class TestMessageView(Message):
    """One message in the inbox of the test integration."""

    __test__ = False

    delivery_id: UUID
    part: int = 1
    request_id: UUID
    content: str
    received_at: datetime
