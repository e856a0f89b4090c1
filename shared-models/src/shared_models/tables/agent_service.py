"""Tables of agent-service, the AI side of a session. Only agent-service reads and writes them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Index, Integer, SmallInteger, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared_models.tables.base import EMPTY_OBJECT, NOW, Base, timestamp

ROOM_FOR_UPDATES = {"postgresql_with": {"fillfactor": 80}}


class RequestSession(Base):
    """One conversation. Its id is minted by request-manager; the row is made by the session's first run.

    `context_from_seq`: what came before is not shown to the model any more; `cancelled_before_seq`: runs before it end as
    cancelled when they start."""

    __tablename__ = "request_sessions"

    session_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uuid)
    integration_type: Mapped[str] = mapped_column(Text)
    conversation_key: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, server_default=text("'active'"))
    title: Mapped[str] = mapped_column(Text, server_default=text("''"))
    agent: Mapped[str | None] = mapped_column(Text)
    agent_version: Mapped[str | None] = mapped_column(Text)
    request_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    context_from_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    cancelled_before_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    model_calls: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    input_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    output_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    llama_stack_conversation_id: Mapped[str | None] = mapped_column(Text)
    user_context: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=EMPTY_OBJECT)
    integration_metadata: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=EMPTY_OBJECT)
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    last_request_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    expires_at: Mapped[datetime] = mapped_column(timestamp())

    __table_args__ = (Index("ix_request_sessions_user", "user_id", "session_id"), ROOM_FOR_UPDATES)


class SessionMessage(Base):
    """What the person (`user`) and the agents (`assistant`) said. `items`: the tool calls and outputs behind an answer."""

    __tablename__ = "session_messages"

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(Uuid)
    seq: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[str] = mapped_column(Text)
    agent: Mapped[str | None] = mapped_column(Text)
    items: Mapped[list[Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (Index("ix_session_messages_session", "session_id", "seq", "request_id"),)


class AgentRun(Base):
    """One request as it is answered. The only judge of how a request ends: the first to set `ended_at` wins.

    `state`: waiting, processing, or an end. `reply_by`: event (request.created), call (/answers), null: a tombstone, ended
    before it arrived. `attempt` fences off a worker that was too late. `purged_at`: `request` and `answer` were removed; the
    row still stops a late event from being answered again."""

    __tablename__ = "agent_runs"

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(Uuid)
    user_id: Mapped[UUID] = mapped_column(Uuid)
    seq: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(Text, server_default=text("'waiting'"))
    reply_by: Mapped[str | None] = mapped_column(Text)
    request: Mapped[dict[str, Any]] = mapped_column(JSONB)
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    agent: Mapped[str | None] = mapped_column(Text)
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    deadline_at: Mapped[datetime] = mapped_column(timestamp())
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    started_at: Mapped[datetime | None] = mapped_column(timestamp())
    ended_at: Mapped[datetime | None] = mapped_column(timestamp())
    purged_at: Mapped[datetime | None] = mapped_column(timestamp())

    __table_args__ = (
        Index("ix_agent_runs_open", "user_id", "session_id", "seq", postgresql_where=text("ended_at is null")),
        Index(
            "ix_agent_runs_unpurged", "ended_at", postgresql_where=text("purged_at is null and ended_at is not null")
        ),
        Index("ix_agent_runs_purged", "ended_at", postgresql_where=text("purged_at is not null")),
        ROOM_FOR_UPDATES,
    )


class RunStep(Base):
    """A model turn or tool call of a run, appended before (`is_result` false) and after (true) it happened."""

    __tablename__ = "run_steps"

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    n: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    is_result: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)


class Confirmation(Base):
    """A tool call that waits for the person's yes. Its id is the intent under which the tool acts at most once.

    `state`: open, approved, rejected, replaced. `outcome`: what the tool answered after the yes."""

    __tablename__ = "confirmations"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(Uuid)
    user_id: Mapped[UUID] = mapped_column(Uuid)
    request_id: Mapped[UUID] = mapped_column(Uuid)
    agent: Mapped[str] = mapped_column(Text)
    server: Mapped[str] = mapped_column(Text)
    tool: Mapped[str] = mapped_column(Text)
    arguments: Mapped[dict[str, Any]] = mapped_column(JSONB)
    arguments_hash: Mapped[str] = mapped_column(Text)
    effect: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default=text("'open'"))
    outcome: Mapped[str | None] = mapped_column(Text)
    answered_by: Mapped[UUID | None] = mapped_column(Uuid)
    answered_at: Mapped[datetime | None] = mapped_column(timestamp())
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    expires_at: Mapped[datetime] = mapped_column(timestamp())

    __table_args__ = (Index("ix_confirmations_session", "session_id", "created_at"),)


class RunEvent(Base):
    """What somebody who watches a run is shown. Not durable, removed some minutes after the run."""

    __tablename__ = "run_events"

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True)
    event: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (Index("ix_run_events_at", "at"), {"prefixes": ["UNLOGGED"]})


class RunWatcher(Base):
    """A process in which somebody watches a run: it wants the events, and to hear of new ones."""

    __tablename__ = "run_watchers"

    request_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    worker: Mapped[str] = mapped_column(Text, primary_key=True)
    until: Mapped[datetime] = mapped_column(timestamp())

    __table_args__ = ({"prefixes": ["UNLOGGED"]},)
