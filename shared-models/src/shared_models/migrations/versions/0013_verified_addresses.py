"""Addresses that people have proven to be theirs; what each delivery is for; what a person is still to be told of a plan"""

import sqlalchemy as sa
from alembic import op

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

WITHOUT_KIND = ("request_id", "integration", "target", "part")
ONE_MESSAGE = "uq_delivery_logs_request_id_integration_target_part"
ONE_OF_A_KIND = f"{ONE_MESSAGE}_kind"
# Webhooks of before have been in use: they go on.
KNOWN_WEBHOOKS = (
    "update user_integration_configs set address = config ->> 'url' where integration = 'webhook' and config ? 'url'"
)
IN_USE = """
insert into verified_addresses (user_id, integration, address, verified_at, proof)
select user_id, integration, address, now(), 'in use' from user_integration_configs where address <> ''
"""


def upgrade() -> None:
    op.add_column("user_integration_configs", sa.Column("address", sa.Text, server_default="", nullable=False))
    op.create_table(
        "verified_addresses",
        sa.Column("user_id", sa.Uuid, primary_key=True),
        sa.Column("integration", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("verified_at", sa.DateTime(timezone=True)),
        sa.Column("proof", sa.Text, server_default="", nullable=False),
        sa.Column("code_hash", sa.Text),
        sa.Column("code_expires_at", sa.DateTime(timezone=True)),
        sa.Column("tries", sa.SmallInteger, server_default="0", nullable=False),
        sa.Column("sends", sa.SmallInteger, server_default="0", nullable=False),
        sa.Column("sends_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.create_index("ix_verified_addresses_integration_address", "verified_addresses", ["integration", "address"])
    grant(SHARED_WRITE, "verified_addresses", "ssa_integration_dispatcher")
    op.execute(KNOWN_WEBHOOKS)
    op.execute(IN_USE)
    op.add_column("delivery_logs", sa.Column("kind", sa.Text, server_default="answer", nullable=False))
    op.drop_constraint(ONE_MESSAGE, "delivery_logs")
    op.create_unique_constraint(ONE_OF_A_KIND, "delivery_logs", [*WITHOUT_KIND, "kind"])
    op.add_column("delivery_plans", sa.Column("note", sa.Text))
    op.create_index(
        "ix_delivery_plans_note", "delivery_plans", ["request_id"], postgresql_where=sa.text("note is not null")
    )


def downgrade() -> None:
    op.drop_index("ix_delivery_plans_note", table_name="delivery_plans")
    op.drop_column("delivery_plans", "note")
    op.execute("delete from delivery_logs where kind = 'note'")
    op.drop_constraint(ONE_OF_A_KIND, "delivery_logs")
    op.create_unique_constraint(ONE_MESSAGE, "delivery_logs", WITHOUT_KIND)
    op.drop_column("delivery_logs", "kind")
    op.drop_table("verified_addresses")
    op.drop_column("user_integration_configs", "address")
