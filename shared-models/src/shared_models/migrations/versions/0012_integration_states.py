"""The account of each integration at its provider: whether it works, and since when deliveries wait for it"""

import sqlalchemy as sa
from alembic import op

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "integration_states",
        sa.Column("integration", sa.Text, primary_key=True),
        sa.Column("is_ok", sa.Boolean),
        sa.Column("reason", sa.Text, server_default=sa.text("''"), nullable=False),
        sa.Column("code", sa.Integer),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True)),
        sa.Column("checked_at", sa.DateTime(timezone=True)),
    )
    grant(SHARED_WRITE, "integration_states", "ssa_integration_dispatcher")


def downgrade() -> None:
    op.drop_table("integration_states")
