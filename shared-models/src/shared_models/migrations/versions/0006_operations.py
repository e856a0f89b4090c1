"""What dead letters and retention need: moments of purging and discarding, and the indexes that find what is due"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

GIVEN_UP = "status in ('failed', 'expired') and discarded_at is null"
ADDED = (("agent_runs", "purged_at"), ("delivery_plans", "purged_at"), ("delivery_logs", "discarded_at"))
INDEXES = (
    ("ix_request_logs_purged", "request_logs", "ended_at", "purged_at is not null"),
    ("ix_agent_runs_unpurged", "agent_runs", "ended_at", "purged_at is null and ended_at is not null"),
    ("ix_agent_runs_purged", "agent_runs", "ended_at", "purged_at is not null"),
    ("ix_delivery_plans_unpurged", "delivery_plans", "created_at", "purged_at is null"),
    ("ix_delivery_plans_purged", "delivery_plans", "created_at", "purged_at is not null"),
    ("ix_delivery_logs_given_up", "delivery_logs", "ended_at", GIVEN_UP),
)


def upgrade() -> None:
    for table, column in ADDED:
        op.add_column(table, sa.Column(column, sa.DateTime(timezone=True)))
    for name, table, column, condition in INDEXES:
        op.create_index(name, table, [column], postgresql_where=sa.text(condition))


def downgrade() -> None:
    for name, table, _column, _condition in reversed(INDEXES):
        op.drop_index(name, table_name=table)
    for table, column in reversed(ADDED):
        op.drop_column(table, column)
