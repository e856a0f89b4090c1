"""E-mail: who reads the mailbox, and how many answers a sender has had"""

import sqlalchemy as sa
from alembic import op

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mailbox_readers",
        sa.Column("mailbox", sa.Text, primary_key=True),
        sa.Column("worker_id", sa.Text, nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.create_table(
        "mail_answers",
        sa.Column("dedupe_key", sa.Text, primary_key=True),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.create_index("ix_mail_answers_sender_answered_at", "mail_answers", ["sender", "answered_at"])
    op.create_index("ix_mail_answers_answered_at", "mail_answers", ["answered_at"])
    for table in ("mailbox_readers", "mail_answers"):
        grant(SHARED_WRITE, table, "ssa_integration_dispatcher")


def downgrade() -> None:
    op.drop_table("mail_answers")
    op.drop_table("mailbox_readers")
