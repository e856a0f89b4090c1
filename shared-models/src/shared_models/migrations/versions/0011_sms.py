"""SMS: what the provider says of messages, and phones that want none"""

import sqlalchemy as sa
from alembic import op

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "sms_messages",
        sa.Column("sid", sa.Text, primary_key=True),
        sa.Column("delivery_id", sa.Uuid),
        sa.Column("part", sa.SmallInteger),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("error_code", sa.Integer),
        sa.Column("is_due", sa.Boolean, server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
    )
    op.create_index(
        "ix_sms_messages_delivery",
        "sms_messages",
        ["delivery_id", "part"],
        postgresql_where=sa.text("delivery_id is not null"),
    )
    op.create_index("ix_sms_messages_due", "sms_messages", ["updated_at"], postgresql_where=sa.text("is_due"))
    op.create_index("ix_sms_messages_created", "sms_messages", ["created_at"])
    op.create_table(
        "sms_phones",
        sa.Column("phone", sa.Text, primary_key=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True)),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
    )
    for table in ("sms_messages", "sms_phones"):
        grant(SHARED_WRITE, table, "ssa_integration_dispatcher")


def downgrade() -> None:
    op.drop_table("sms_phones")
    op.drop_table("sms_messages")
