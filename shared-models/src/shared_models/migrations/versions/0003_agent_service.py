"""Tables of agent-service"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROLE = "ssa_agent_service"
NOW = sa.text("now()")
EMPTY_OBJECT = sa.text("'{}'::jsonb")
ZERO = sa.text("0")
ROOM_FOR_UPDATES = {"fillfactor": 80}
TABLES = (
    "request_sessions",
    "session_messages",
    "agent_runs",
    "run_steps",
    "confirmations",
    "run_events",
    "run_watchers",
)


def moment(name: str, *, nullable: bool = False, default: sa.TextClause | None = NOW) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=None if nullable else default, nullable=nullable)


def upgrade() -> None:
    make_sessions()
    make_runs()
    make_confirmations()
    make_events()
    for table in TABLES:
        grant(SHARED_WRITE, table, ROLE)


def make_sessions() -> None:
    op.create_table(
        "request_sessions",
        sa.Column("session_id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("integration_type", sa.Text, nullable=False),
        sa.Column("conversation_key", sa.Text, nullable=False),
        sa.Column("status", sa.Text, server_default=sa.text("'active'"), nullable=False),
        sa.Column("title", sa.Text, server_default=sa.text("''"), nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("agent_version", sa.Text),
        sa.Column("request_count", sa.BigInteger, server_default=ZERO, nullable=False),
        sa.Column("context_from_seq", sa.BigInteger, server_default=ZERO, nullable=False),
        sa.Column("cancelled_before_seq", sa.BigInteger, server_default=ZERO, nullable=False),
        sa.Column("model_calls", sa.BigInteger, server_default=ZERO, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, server_default=ZERO, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, server_default=ZERO, nullable=False),
        sa.Column("llama_stack_conversation_id", sa.Text),
        sa.Column("user_context", JSONB, server_default=EMPTY_OBJECT, nullable=False),
        sa.Column("integration_metadata", JSONB, server_default=EMPTY_OBJECT, nullable=False),
        moment("created_at"),
        moment("last_request_at"),
        moment("expires_at", default=None),
        postgresql_with=ROOM_FOR_UPDATES,
    )
    op.create_index("ix_request_sessions_user", "request_sessions", ["user_id", "session_id"])
    op.create_table(
        "session_messages",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("items", JSONB),
        moment("created_at"),
    )
    op.create_index("ix_session_messages_session", "session_messages", ["session_id", "seq", "request_id"])


def make_runs() -> None:
    op.create_table(
        "agent_runs",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("reply_by", sa.Text),
        sa.Column("request", JSONB, nullable=False),
        sa.Column("attempt", sa.Integer, server_default=ZERO, nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("answer", JSONB),
        moment("deadline_at", default=None),
        moment("created_at"),
        moment("started_at", nullable=True),
        moment("ended_at", nullable=True),
        postgresql_with=ROOM_FOR_UPDATES,
    )
    op.create_index(
        "ix_agent_runs_open",
        "agent_runs",
        ["user_id", "session_id", "seq"],
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_table(
        "run_steps",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("n", sa.SmallInteger, primary_key=True),
        sa.Column("is_result", sa.Boolean, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("data", JSONB, nullable=False),
        moment("at"),
    )


def make_confirmations() -> None:
    op.create_table(
        "confirmations",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("arguments", JSONB, nullable=False),
        sa.Column("arguments_hash", sa.Text, nullable=False),
        sa.Column("effect", sa.Text, nullable=False),
        sa.Column("state", sa.Text, server_default=sa.text("'open'"), nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("answered_by", sa.Uuid),
        moment("answered_at", nullable=True),
        moment("created_at"),
        moment("expires_at", default=None),
    )
    op.create_index("ix_confirmations_session", "confirmations", ["session_id", "created_at"])


def make_events() -> None:
    op.create_table(
        "run_events",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("data", JSONB, nullable=False),
        moment("at"),
        prefixes=["UNLOGGED"],
    )
    op.create_index("ix_run_events_at", "run_events", ["at"])
    op.create_table(
        "run_watchers",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("worker", sa.Text, primary_key=True),
        moment("until", default=None),
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
