"""Tables of integration-dispatcher: integration settings, plans, deliveries, attempts, the test inbox"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
EMPTY = sa.text("''")
ZERO = sa.text("0")
FALSE = sa.text("false")
TABLES = (
    "integration_default_configs",
    "user_integration_configs",
    "delivery_plans",
    "delivery_logs",
    "delivery_attempts",
    "test_messages",
)


def moment(name: str, *, required: bool = False, default: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not required, server_default=NOW if default else None)


def words(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.Text, server_default=EMPTY, nullable=False)


def retries() -> "list[sa.Column[object]]":
    return [
        sa.Column("priority", sa.SmallInteger),
        sa.Column("retry_count", sa.SmallInteger),
        sa.Column("retry_delay_seconds", sa.Double),
    ]


def upgrade() -> None:
    create_settings()
    create_plans()
    create_deliveries()
    for table in TABLES:
        grant(SHARED_WRITE, table, "ssa_integration_dispatcher")


def create_settings() -> None:
    op.create_table(
        "integration_default_configs",
        sa.Column("integration", sa.Text, primary_key=True),
        sa.Column("enabled", sa.Boolean),
        *retries(),
        moment("updated_at", required=True, default=True),
        sa.Column("updated_by", sa.Uuid, nullable=False),
    )
    op.create_table(
        "user_integration_configs",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("integration", sa.Text, primary_key=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("config", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("secrets", sa.Text),
        *retries(),
        words("disabled_reason"),
        moment("failing_since"),
        moment("created_at", required=True, default=True),
        moment("updated_at", required=True, default=True),
    )


def create_plans() -> None:
    op.create_table(
        "delivery_plans",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("chain", ARRAY(sa.Text), nullable=False),
        sa.Column("position", sa.SmallInteger, server_default=ZERO, nullable=False),
        moment("fallback_at"),
        moment("delivered_at"),
        moment("created_at", required=True, default=True),
    )
    op.create_index(
        "ix_delivery_plans_due",
        "delivery_plans",
        ["fallback_at"],
        postgresql_where=sa.text("fallback_at is not null"),
    )


def create_deliveries() -> None:
    op.create_table(
        "delivery_logs",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("part", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("parts", sa.SmallInteger, nullable=False),
        sa.Column(
            "request_id", sa.Uuid, sa.ForeignKey("delivery_plans.request_id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("integration", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        words("reason"),
        sa.Column("failures", sa.SmallInteger, server_default=ZERO, nullable=False),
        words("provider_id"),
        sa.Column("is_late", sa.Boolean, server_default=FALSE, nullable=False),
        moment("created_at", required=True, default=True),
        moment("next_attempt_at"),
        moment("expires_at", required=True),
        moment("ended_at"),
        moment("replayed_at"),
        sa.UniqueConstraint("request_id", "integration", "target", "part"),
    )
    op.create_index("ix_delivery_logs_user", "delivery_logs", ["user_id", "id"])
    op.create_index(
        "ix_delivery_logs_open",
        "delivery_logs",
        ["expires_at"],
        postgresql_where=sa.text("status in ('pending', 'retrying')"),
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", sa.Uuid, primary_key=True),
        sa.Column("part", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("outcome", sa.Text),
        sa.Column("code", sa.Integer),
        words("detail"),
        moment("started_at", required=True, default=True),
        moment("ended_at"),
        sa.ForeignKeyConstraint(
            ["delivery_id", "part"], ["delivery_logs.id", "delivery_logs.part"], ondelete="CASCADE"
        ),
    )
    op.create_table(
        "test_messages",
        sa.Column("delivery_id", sa.Uuid, primary_key=True),
        sa.Column("part", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        moment("received_at", required=True, default=True),
    )
    op.create_index("ix_test_messages_user_id_delivery_id", "test_messages", ["user_id", "delivery_id"])


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
