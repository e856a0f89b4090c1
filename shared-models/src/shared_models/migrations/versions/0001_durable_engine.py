"""Roles, and the tables of the durable engine"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared_models.migrations.grants import SERVICE_ROLES, SHARED_WRITE, create_roles, grant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NOW = sa.text("now()")
QUEUE_STORAGE = {"fillfactor": 70, "autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_cost_delay": 0}


def upgrade() -> None:
    create_roles()
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("alive_until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_workers_alive_until", "workers", ["alive_until"])
    op.create_table(
        "lanes",
        sa.Column("queue", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("pending", sa.Integer, nullable=False),
        sa.Column("next_seq", sa.BigInteger, nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("leased_by", sa.Text),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        postgresql_with=QUEUE_STORAGE,
    )
    op.create_index(
        "ix_lanes_due", "lanes", ["queue", "run_at"], postgresql_where=sa.text("pending > 0 and leased_by is null")
    )
    op.create_index("ix_lanes_leased_by", "lanes", ["leased_by"], postgresql_where=sa.text("leased_by is not null"))
    op.create_index(
        "ix_lanes_idle", "lanes", ["updated_at"], postgresql_where=sa.text("pending = 0 and leased_by is null")
    )
    op.create_table(
        "work_items",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("seq", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("ref", sa.Text, server_default=sa.text("''"), nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("attempts", sa.SmallInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("lost", sa.SmallInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("claim", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("leased_by", sa.Text),
        sa.Column("last_error", sa.Text),
        sa.Column("dead_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        postgresql_with=QUEUE_STORAGE,
    )
    op.create_index(
        "ix_work_items_due",
        "work_items",
        ["queue", "run_at", "id"],
        postgresql_where=sa.text("key is null and leased_by is null and dead_at is null"),
    )
    op.create_index(
        "ix_work_items_key",
        "work_items",
        ["queue", "key", "seq"],
        postgresql_where=sa.text("key is not null and dead_at is null"),
    )
    op.create_index(
        "ix_work_items_leased_by", "work_items", ["leased_by"], postgresql_where=sa.text("leased_by is not null")
    )
    op.create_index(
        "ix_work_items_dead", "work_items", ["queue", "dead_at"], postgresql_where=sa.text("dead_at is not null")
    )
    op.create_index("ix_work_items_ref", "work_items", ["ref"], postgresql_where=sa.text("ref <> ''"))
    op.create_table(
        "processed_events",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("processed_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
    )
    op.create_index("ix_processed_events_processed_at", "processed_events", ["processed_at"])
    for table in ("workers", "lanes", "work_items", "processed_events"):
        grant(SHARED_WRITE, table, *SERVICE_ROLES)
    grant("select", "alembic_version", *SERVICE_ROLES)


def downgrade() -> None:
    for table in ("processed_events", "work_items", "lanes", "workers"):
        op.drop_table(table)
