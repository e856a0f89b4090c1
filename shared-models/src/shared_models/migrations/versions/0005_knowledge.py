"""Documents, their chunks, and the indexes that find them"""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects.postgresql import TSVECTOR

from shared_models.migrations.grants import SHARED_WRITE, grant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROLE = "ssa_agent_service"
NOW = sa.text("now()")
DIMENSIONS = (384, 512, 768, 1024, 1536)
SEARCH_SQL = (
    "setweight(to_tsvector('english'::regconfig, document || ' ' || section), 'A') || "
    "setweight(to_tsvector('english'::regconfig, text), 'B')"
)
NEEDED = (0, 8)
FOUND = "select coalesce(installed_version, default_version) from pg_available_extensions where name = 'vector'"
NO_VECTOR = (
    "this PostgreSQL has no pgvector 0.8 or later (https://github.com/pgvector/pgvector): install it, migrate again"
)


def upgrade() -> None:
    found = op.get_bind().execute(sa.text(FOUND)).scalar()
    if found is None or tuple(int(part) for part in str(found).split(".")[:2]) < NEEDED:
        raise RuntimeError(NO_VECTOR)
    op.execute("create extension if not exists vector")
    op.create_table(
        "knowledge_documents",
        sa.Column("base", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("chunks", sa.Integer, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
    )
    op.create_table(
        "knowledge_chunks",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("section", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("dimensions", sa.SmallInteger),
        sa.Column("embedding", Vector()),
        sa.Column("search", TSVECTOR, sa.Computed(SEARCH_SQL, persisted=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["base", "path"],
            ["knowledge_documents.base", "knowledge_documents.path"],
            name="fk_knowledge_chunks_base_knowledge_documents",
            ondelete="CASCADE",
        ),
    )
    op.create_index("uq_knowledge_chunks_place", "knowledge_chunks", ["base", "path", "n"], unique=True)
    op.create_index("ix_knowledge_chunks_search", "knowledge_chunks", ["search"], postgresql_using="gin")
    for dimensions in DIMENSIONS:
        op.execute(
            f"create index ix_knowledge_chunks_vector_{dimensions} on knowledge_chunks "
            f"using hnsw ((embedding::vector({dimensions})) vector_cosine_ops) where dimensions = {dimensions}"
        )
    for table in ("knowledge_documents", "knowledge_chunks"):
        grant(SHARED_WRITE, table, ROLE)


def downgrade() -> None:
    """The extension stays: others may use it."""
    op.drop_table("knowledge_chunks")
    op.drop_table("knowledge_documents")
