"""When a provider may be called next"""

import sqlalchemy as sa
from alembic import op

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLE = "send_windows"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_send_windows_free_at", TABLE, ["free_at"])
    grant(SHARED_WRITE, TABLE, "ssa_integration_dispatcher")


def downgrade() -> None:
    op.drop_table(TABLE)
