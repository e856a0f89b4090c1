"""No inbox: every effect of an event is guarded by a key of the data itself"""

import sqlalchemy as sa
from alembic import op

from shared_models.migrations.grants import SERVICE_ROLES, SHARED_WRITE, grant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("processed_events")


def downgrade() -> None:
    op.create_table(
        "processed_events",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("processed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.create_index("ix_processed_events_processed_at", "processed_events", ["processed_at"])
    grant(SHARED_WRITE, "processed_events", *SERVICE_ROLES)
