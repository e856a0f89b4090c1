"""Tables of request-manager, their only writer: people, keys, conversations, requests, feedback."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Identity, Index, Integer, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared_models.tables.base import EMPTY_OBJECT, NOW, Base, timestamp

# The counters of `users` change with every request: leave room in the page for the new row versions.
IN_PLACE_UPDATES = {"postgresql_with": {"fillfactor": 70}}


class User(Base):
    """A person. `open_requests` and the window count what the limits allow; the row is also their lock.

    In a window of one minute up to `window_ends_at`, `window_count` requests were accepted."""

    __tablename__ = "users"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text, server_default=text("''"))
    role: Mapped[str] = mapped_column(Text, server_default=text("'user'"))
    open_requests: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    window_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    window_ends_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (IN_PLACE_UPDATES,)


class UserIdentity(Base):
    """Who a person is elsewhere: `issuer` is an OIDC issuer or an integration, `external_id` its `sub` or member id."""

    __tablename__ = "user_identities"

    issuer: Mapped[str] = mapped_column(Text, primary_key=True)
    external_id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (Index(None, "user_id"),)


class ApiKey(Base):
    """A key: its beginning to find it by, and the SHA-256 of the whole. `user_id`: whose it is; for a tool key who made it."""

    __tablename__ = "api_keys"

    key_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    prefix: Mapped[str] = mapped_column(Text, unique=True)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    acts_for: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    acts_for_everyone: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    expires_at: Mapped[datetime | None] = mapped_column(timestamp())
    revoked_at: Mapped[datetime | None] = mapped_column(timestamp())

    __table_args__ = (Index(None, "user_id", "key_id"),)


class Conversation(Base):
    """A session as request-manager knows it: conversation key -> session id, owner and state.

    The key is taken while the conversation is active or closing. `request_count` gives each request its sequence."""

    __tablename__ = "conversations"

    session_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id", ondelete="CASCADE"))
    integration_type: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, server_default=text("'active'"))
    request_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    last_request_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    expires_at: Mapped[datetime] = mapped_column(timestamp())
    closed_at: Mapped[datetime | None] = mapped_column(timestamp())

    __table_args__ = (
        Index(
            "uq_conversations_live_key",
            "user_id",
            "key",
            unique=True,
            postgresql_where=text("status in ('active', 'closing')"),
        ),
        IN_PLACE_UPDATES,
    )


class RequestLog(Base):
    """A request from accept to end. Columns of type json keep the text as written, so that every reader gets the same result.

    `caller` is who sent it (the scope of idempotency keys), `user_id` the person it is for. `extra`: context, confirm and
    delivery wish as they came in. `end_wish` is an end that agent-service is being asked for. After the retention time
    content and response are gone (`purged_at`)."""

    __tablename__ = "request_logs"

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.session_id"))
    user_id: Mapped[UUID] = mapped_column(Uuid)
    sequence: Mapped[int] = mapped_column(Integer)
    caller: Mapped[str] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    body_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    integration_type: Mapped[str] = mapped_column(Text)
    request_type: Mapped[str] = mapped_column(Text)
    named_session: Mapped[bool]
    stream: Mapped[bool]
    content: Mapped[str | None] = mapped_column(Text)
    extra: Mapped[str] = mapped_column(JSON)
    metadata_json: Mapped[str] = mapped_column("metadata", JSON)
    wants_delivery: Mapped[bool]
    retry_of: Mapped[UUID | None] = mapped_column(Uuid)
    status: Mapped[str] = mapped_column(Text, server_default=text("'accepted'"))
    agent: Mapped[str | None] = mapped_column(Text)
    response: Mapped[str | None] = mapped_column(JSON)
    error: Mapped[str | None] = mapped_column(JSON)
    error_code: Mapped[str | None] = mapped_column(Text)
    deliveries: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=EMPTY_OBJECT)
    session_ended: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(timestamp())
    deadline_at: Mapped[datetime] = mapped_column(timestamp())
    end_wish: Mapped[str | None] = mapped_column(Text)
    end_wished_at: Mapped[datetime | None] = mapped_column(timestamp())
    ended_at: Mapped[datetime | None] = mapped_column(timestamp())
    purged_at: Mapped[datetime | None] = mapped_column(timestamp())

    __table_args__ = (
        Index("ix_request_logs_user", "user_id", "request_id"),
        Index("ix_request_logs_session", "session_id", "request_id"),
        Index("ix_request_logs_open", "deadline_at", postgresql_where=text("ended_at is null")),
        Index(
            "ix_request_logs_unpurged", "ended_at", postgresql_where=text("purged_at is null and ended_at is not null")
        ),
        Index("ix_request_logs_purged", "ended_at", postgresql_where=text("purged_at is not null")),
        Index(
            "uq_request_logs_idempotency_key",
            "caller",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key is not null"),
        ),
        Index("ix_request_logs_keyed", "created_at", postgresql_where=text("idempotency_key is not null")),
        IN_PLACE_UPDATES,
    )


class Feedback(Base):
    """What people thought of an answer. Each change is a new row; the latest one counts."""

    __tablename__ = "feedback"

    feedback_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("request_logs.request_id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(Uuid)
    rating: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (Index(None, "request_id", "feedback_id"),)
