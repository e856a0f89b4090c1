"""What providers bring in: inbound events"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLE = "inbound_events"
INDEXES = (
    ("ix_inbound_events_conversation", "conversation", "request_id is not null"),
    ("ix_inbound_events_request", "request_id", "request_id is not null"),
    ("ix_inbound_events_unpurged", "received_at", "purged_at is null"),
    ("ix_inbound_events_purged", "received_at", "purged_at is not null"),
)


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("dedupe_key", sa.Text, nullable=False, unique=True),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("state", sa.Text, server_default=sa.text("'received'"), nullable=False),
        sa.Column("reason", sa.Text, server_default=sa.text("''"), nullable=False),
        sa.Column("user_id", sa.Uuid),
        sa.Column("request_id", sa.Uuid),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("purged_at", sa.DateTime(timezone=True)),
    )
    for name, column, condition in INDEXES:
        op.create_index(name, TABLE, [column], postgresql_where=sa.text(condition))
    grant(SHARED_WRITE, TABLE, "ssa_integration_dispatcher")


def downgrade() -> None:
    op.drop_table(TABLE)
