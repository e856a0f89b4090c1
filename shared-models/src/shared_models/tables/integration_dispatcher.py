"""Tables of integration-dispatcher, their only writer: integration settings, what came in, plans, deliveries, their attempts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared_models.tables.base import EMPTY_OBJECT, NOW, Base, timestamp

EMPTY_TEXT = text("''")
ZERO = text("0")
FALSE = text("false")


class IntegrationDefaultConfig(Base):
    """An administrator's defaults for one integration. Written by integration-dispatcher. Null: the environment's value."""

    __tablename__ = "integration_default_configs"

    integration: Mapped[str] = mapped_column(Text, primary_key=True)
    enabled: Mapped[bool | None] = mapped_column(Boolean)
    priority: Mapped[int | None] = mapped_column(SmallInteger)
    retry_count: Mapped[int | None] = mapped_column(SmallInteger)
    retry_delay_seconds: Mapped[float | None] = mapped_column(Double)
    updated_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    updated_by: Mapped[UUID] = mapped_column(Uuid)


class UserIntegrationConfig(Base):
    """What one person set for one integration. Written by integration-dispatcher. Null: the default's value.

    `config` holds what may be shown again, `secrets` the rest as JSON encrypted with SECRETS_KEY. `address` is what of it
    must be proven (verified_addresses) before it is used; empty: nothing."""

    __tablename__ = "user_integration_configs"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    integration: Mapped[str] = mapped_column(Text, primary_key=True)
    enabled: Mapped[bool] = mapped_column(Boolean)
    config: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=EMPTY_OBJECT)
    secrets: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    priority: Mapped[int | None] = mapped_column(SmallInteger)
    retry_count: Mapped[int | None] = mapped_column(SmallInteger)
    retry_delay_seconds: Mapped[float | None] = mapped_column(Double)
    disabled_reason: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    failing_since: Mapped[datetime | None] = mapped_column(timestamp())
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)


class VerifiedAddress(Base):
    """An address that a person has proven to be theirs, or is about to. Written by integration-dispatcher.

    `proof`: how (code, challenge, sign-in). `code_hash` is keyed by SECRETS_KEY; `tries` at the present code, `sends` of codes
    since `sends_since`."""

    __tablename__ = "verified_addresses"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    integration: Mapped[str] = mapped_column(Text, primary_key=True)
    address: Mapped[str] = mapped_column(Text, primary_key=True)
    verified_at: Mapped[datetime | None] = mapped_column(timestamp())
    proof: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    code_hash: Mapped[str | None] = mapped_column(Text)
    code_expires_at: Mapped[datetime | None] = mapped_column(timestamp())
    tries: Mapped[int] = mapped_column(SmallInteger, server_default=ZERO)
    sends: Mapped[int] = mapped_column(SmallInteger, server_default=ZERO)
    sends_since: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (Index(None, "integration", "address"),)


class IntegrationState(Base):
    """The account of one integration at its provider. Written by integration-dispatcher; one row for each that was checked.

    `is_ok` with `reason` and `code`: what the last check or delivery found, null before the first one; `since`: for how
    long. `paused_at`: the provider refuses the account, deliveries wait. `checked_at`: when a replica last began a check."""

    __tablename__ = "integration_states"

    integration: Mapped[str] = mapped_column(Text, primary_key=True)
    is_ok: Mapped[bool | None] = mapped_column(Boolean)
    reason: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    code: Mapped[int | None] = mapped_column(Integer)
    since: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    paused_at: Mapped[datetime | None] = mapped_column(timestamp())
    checked_at: Mapped[datetime | None] = mapped_column(timestamp())


class DeliveryPlan(Base):
    """Where one answer goes. Written by integration-dispatcher. The row makes planning idempotent by request.

    `message` is the AgentResponse as JSON text, `chain` the integrations in order, `position` the last one started
    (from 0). `fallback_at`: when the next one is started unless `delivered_at` is set; null: there is no next one.
    `note`: what the person is still to be told of it elsewhere (failed, disabled); null: nothing.
    `purged_at`: its content and deliveries were removed; the row still stops a late event from being delivered again."""

    __tablename__ = "delivery_plans"

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uuid)
    session_id: Mapped[UUID] = mapped_column(Uuid)
    message: Mapped[str] = mapped_column(Text)
    policy: Mapped[str] = mapped_column(Text)
    chain: Mapped[list[str]] = mapped_column(ARRAY(Text))
    position: Mapped[int] = mapped_column(SmallInteger, server_default=ZERO)
    fallback_at: Mapped[datetime | None] = mapped_column(timestamp())
    delivered_at: Mapped[datetime | None] = mapped_column(timestamp())
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    purged_at: Mapped[datetime | None] = mapped_column(timestamp())
    note: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_delivery_plans_note", "request_id", postgresql_where=text("note is not null")),
        Index("ix_delivery_plans_due", "fallback_at", postgresql_where=text("fallback_at is not null")),
        Index("ix_delivery_plans_unpurged", "created_at", postgresql_where=text("purged_at is null")),
        Index("ix_delivery_plans_purged", "created_at", postgresql_where=text("purged_at is not null")),
    )


class DeliveryLog(Base):
    """One part of one message to one target. Written by integration-dispatcher. `id` is the message's, the same for its parts.

    `kind`: answer (to the person's own address), origin (back to where it was asked), note (that an answer could not be
    delivered elsewhere). `rank` is the integration's place in the plan's chain, `body` what the handler sends, `failures` the tries that were
    answered with a failure. `discarded_at`: an operator took the failure off the list of dead letters."""

    __tablename__ = "delivery_logs"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    parts: Mapped[int] = mapped_column(SmallInteger)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("delivery_plans.request_id", ondelete="CASCADE"))
    session_id: Mapped[UUID] = mapped_column(Uuid)
    user_id: Mapped[UUID] = mapped_column(Uuid)
    integration: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    rank: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    failures: Mapped[int] = mapped_column(SmallInteger, server_default=ZERO)
    provider_id: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    is_late: Mapped[bool] = mapped_column(Boolean, server_default=FALSE)
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    next_attempt_at: Mapped[datetime | None] = mapped_column(timestamp())
    expires_at: Mapped[datetime] = mapped_column(timestamp())
    ended_at: Mapped[datetime | None] = mapped_column(timestamp())
    replayed_at: Mapped[datetime | None] = mapped_column(timestamp())
    discarded_at: Mapped[datetime | None] = mapped_column(timestamp())
    kind: Mapped[str] = mapped_column(Text, server_default=text("'answer'"))

    __table_args__ = (
        UniqueConstraint("request_id", "integration", "target", "part", "kind"),
        Index("ix_delivery_logs_user", "user_id", "id"),
        Index("ix_delivery_logs_open", "expires_at", postgresql_where=text("status in ('pending', 'retrying')")),
        Index(
            "ix_delivery_logs_given_up",
            "ended_at",
            postgresql_where=text("status in ('failed', 'expired') and discarded_at is null"),
        ),
    )


class DeliveryAttempt(Base):
    """One try to send one part. Written by integration-dispatcher, before the try: an open row is a try under way.

    `code` is the provider's (an HTTP status), `detail` its words: bounded, without secrets."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    outcome: Mapped[str | None] = mapped_column(Text)
    code: Mapped[int | None] = mapped_column(Integer)
    detail: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    started_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    ended_at: Mapped[datetime | None] = mapped_column(timestamp())

    __table_args__ = (
        ForeignKeyConstraint(["delivery_id", "part"], ["delivery_logs.id", "delivery_logs.part"], ondelete="CASCADE"),
    )


class ReceivedTestMessage(Base):
    """The inbox of the test integration. Written by integration-dispatcher. A repeated delivery leaves one row."""

    __tablename__ = "test_messages"

    delivery_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    part: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    user_id: Mapped[UUID] = mapped_column(Uuid)
    request_id: Mapped[UUID] = mapped_column(Uuid)
    content: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (Index(None, "user_id", "delivery_id"),)


class InboundEvent(Base):
    """One thing that a provider has brought. Written by integration-dispatcher, before the provider is told that it was taken.

    `provider` names its processor, `dedupe_key` (made of the provider's ids) makes repetitions one row, `conversation` is
    what it belongs to there. `state`: received, then forwarded, answered, ignored, held (a mail that its sender is to confirm) or
    failed; `reason`: why, for the last three.
    `note`: what the person is still to be told of it elsewhere (failed, disabled); null: nothing.
    `purged_at`: its content was removed; the row still stops a repetition."""

    __tablename__ = "inbound_events"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    dedupe_key: Mapped[str] = mapped_column(Text, unique=True)
    conversation: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text, server_default=text("'received'"))
    reason: Mapped[str] = mapped_column(Text, server_default=EMPTY_TEXT)
    user_id: Mapped[UUID | None] = mapped_column(Uuid)
    request_id: Mapped[UUID | None] = mapped_column(Uuid)
    received_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    ended_at: Mapped[datetime | None] = mapped_column(timestamp())
    purged_at: Mapped[datetime | None] = mapped_column(timestamp())

    __table_args__ = (
        Index("ix_inbound_events_conversation", "conversation", postgresql_where=text("request_id is not null")),
        Index("ix_inbound_events_request", "request_id", postgresql_where=text("request_id is not null")),
        Index("ix_inbound_events_unpurged", "received_at", postgresql_where=text("purged_at is null")),
        Index("ix_inbound_events_purged", "received_at", postgresql_where=text("purged_at is not null")),
    )


class SendWindow(Base):
    """When a provider may be called next. Written by integration-dispatcher.

    `name`: a method of the provider that it has closed for a while, or a conversation that takes one message at a time."""

    __tablename__ = "send_windows"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    free_at: Mapped[datetime] = mapped_column(timestamp())

    __table_args__ = (Index("ix_send_windows_free_at", "free_at"),)


class MailboxReader(Base):
    """Which process reads a mailbox. Written by integration-dispatcher; free when the worker is dead."""

    __tablename__ = "mailbox_readers"

    mailbox: Mapped[str] = mapped_column(Text, primary_key=True)
    worker_id: Mapped[str] = mapped_column(Text)
    taken_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)


class MailAnswer(Base):
    """One automatic answer to a mail, so that two machines do not answer each other for ever. Written by integration-dispatcher."""

    __tablename__ = "mail_answers"

    dedupe_key: Mapped[str] = mapped_column(Text, primary_key=True)
    sender: Mapped[str] = mapped_column(Text)
    answered_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (Index(None, "sender", "answered_at"), Index(None, "answered_at"))
