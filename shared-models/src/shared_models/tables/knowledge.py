"""Documents that agents may search, cut into chunks. Written by agent-service alone, read by it alone."""

from datetime import datetime

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    BigInteger,
    Computed,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Text,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from shared_models.tables.base import NOW, Base, timestamp

INDEXED_DIMENSIONS = (384, 512, 768, 1024, 1536)
"""Lengths of vectors with an index of their own; others are compared one by one."""

# Stemmed as English; words of other languages still match as they are written.
SEARCH_SQL = (
    "setweight(to_tsvector('english'::regconfig, document || ' ' || section), 'A') || "
    "setweight(to_tsvector('english'::regconfig, text), 'B')"
)


def vector_index(dimensions: int) -> Index:
    """Nearest neighbours by cosine among the chunks whose vectors have this length."""
    return Index(
        f"ix_knowledge_chunks_vector_{dimensions}",
        literal_column(f"(embedding::vector({dimensions}))").label("nearest"),
        postgresql_using="hnsw",
        postgresql_ops={"nearest": "vector_cosine_ops"},
        postgresql_where=text(f"dimensions = {dimensions}"),
    )


class KnowledgeDocument(Base):
    """One file of a knowledge base (a folder). `content_hash` of its bytes tells whether it must be read again."""

    __tablename__ = "knowledge_documents"

    base: Mapped[str] = mapped_column(Text, primary_key=True)
    path: Mapped[str] = mapped_column(Text, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(Text)
    chunks: Mapped[int] = mapped_column(Integer)
    model: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)


class KnowledgeChunk(Base):
    """A passage with its document's title and section. Without `embedding` (its server was away) only words find it."""

    __tablename__ = "knowledge_chunks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    base: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    n: Mapped[int] = mapped_column(Integer)
    document: Mapped[str] = mapped_column(Text)
    section: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    dimensions: Mapped[int | None] = mapped_column(SmallInteger)
    embedding: Mapped[list[float] | None] = mapped_column(Vector())
    search: Mapped[str] = mapped_column(TSVECTOR, Computed(SEARCH_SQL, persisted=True))

    __table_args__ = (
        ForeignKeyConstraint(
            ["base", "path"], ["knowledge_documents.base", "knowledge_documents.path"], ondelete="CASCADE"
        ),
        Index("uq_knowledge_chunks_place", "base", "path", "n", unique=True),
        Index("ix_knowledge_chunks_search", "search", postgresql_using="gin"),
        *[vector_index(dimensions) for dimensions in INDEXED_DIMENSIONS],
    )
