"""Alembic's entry. The connection comes from `shared_models.migrate` or from the test that drives Alembic."""

from alembic import context
from sqlalchemy import Connection

from shared_models.tables.all import Base


def run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=Base.metadata, compare_type=True, compare_server_default=False
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is None:
    raise RuntimeError("run migrations with: python -m shared_models.migrate")
run(given)
