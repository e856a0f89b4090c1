"""Tables of request-manager: people, keys, conversations, requests, feedback"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
EMPTY = sa.text("''")
ZERO = sa.text("0")
FALSE = sa.text("false")
IN_PLACE_UPDATES = {"fillfactor": 70}
TABLES = ("users", "user_identities", "api_keys", "conversations", "request_logs", "feedback")


def moment(name: str, *, required: bool = True, default: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not required, server_default=NOW if default else None)


def owner() -> "sa.Column[object]":
    return sa.Column("user_id", sa.Uuid, sa.ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False)


def upgrade() -> None:
    people()
    conversations()
    requests()
    for table in TABLES:
        grant(SHARED_WRITE, table, "ssa_request_manager")


def people() -> None:
    op.create_table(
        "users",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, server_default=EMPTY, nullable=False),
        sa.Column("role", sa.Text, server_default=sa.text("'user'"), nullable=False),
        sa.Column("open_requests", sa.Integer, server_default=ZERO, nullable=False),
        sa.Column("window_count", sa.Integer, server_default=ZERO, nullable=False),
        moment("window_ends_at", default=True),
        moment("created_at", default=True),
        postgresql_with=IN_PLACE_UPDATES,
    )
    op.create_table(
        "user_identities",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("external_id", sa.Text, primary_key=True),
        owner(),
        moment("created_at", default=True),
    )
    op.create_index("ix_user_identities_user_id", "user_identities", ["user_id"])
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Uuid, primary_key=True),
        sa.Column("prefix", sa.Text, nullable=False, unique=True),
        sa.Column("key_hash", sa.LargeBinary, nullable=False),
        owner(),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        sa.Column("acts_for", ARRAY(sa.Uuid), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("acts_for_everyone", sa.Boolean, server_default=FALSE, nullable=False),
        moment("created_at", default=True),
        moment("expires_at", required=False),
        moment("revoked_at", required=False),
    )
    op.create_index("ix_api_keys_user_id_key_id", "api_keys", ["user_id", "key_id"])


def conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("session_id", sa.Uuid, primary_key=True),
        owner(),
        sa.Column("integration_type", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("status", sa.Text, server_default=sa.text("'active'"), nullable=False),
        sa.Column("request_count", sa.Integer, server_default=ZERO, nullable=False),
        moment("created_at", default=True),
        moment("last_request_at", default=True),
        moment("expires_at"),
        moment("closed_at", required=False),
        postgresql_with=IN_PLACE_UPDATES,
    )
    live = sa.text("status in ('active', 'closing')")
    op.create_index(
        "uq_conversations_live_key", "conversations", ["user_id", "key"], unique=True, postgresql_where=live
    )


def requests() -> None:
    op.create_table(
        "request_logs",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("session_id", sa.Uuid, sa.ForeignKey("conversations.session_id"), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("body_hash", sa.LargeBinary),
        sa.Column("integration_type", sa.Text, nullable=False),
        sa.Column("request_type", sa.Text, nullable=False),
        sa.Column("named_session", sa.Boolean, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("extra", sa.JSON, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("wants_delivery", sa.Boolean, nullable=False),
        sa.Column("retry_of", sa.Uuid),
        sa.Column("status", sa.Text, server_default=sa.text("'accepted'"), nullable=False),
        sa.Column("agent", sa.Text),
        sa.Column("response", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("error_code", sa.Text),
        sa.Column("deliveries", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("session_ended", sa.Boolean, server_default=FALSE, nullable=False),
        moment("created_at"),
        moment("deadline_at"),
        sa.Column("end_wish", sa.Text),
        moment("end_wished_at", required=False),
        moment("ended_at", required=False),
        moment("purged_at", required=False),
        postgresql_with=IN_PLACE_UPDATES,
    )
    op.create_index("ix_request_logs_user", "request_logs", ["user_id", "request_id"])
    op.create_index("ix_request_logs_session", "request_logs", ["session_id", "request_id"])
    for name, column, condition in (
        ("ix_request_logs_open", "deadline_at", "ended_at is null"),
        ("ix_request_logs_unpurged", "ended_at", "purged_at is null and ended_at is not null"),
        ("ix_request_logs_keyed", "created_at", "idempotency_key is not null"),
    ):
        op.create_index(name, "request_logs", [column], postgresql_where=sa.text(condition))
    op.create_index(
        "uq_request_logs_idempotency_key",
        "request_logs",
        ["caller", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key is not null"),
    )
    op.create_table(
        "feedback",
        sa.Column("feedback_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("request_id", sa.Uuid, sa.ForeignKey("request_logs.request_id", ondelete="CASCADE"), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("rating", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, server_default=EMPTY, nullable=False),
        moment("created_at", default=True),
    )
    op.create_index("ix_feedback_request_id_feedback_id", "feedback", ["request_id", "feedback_id"])


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
