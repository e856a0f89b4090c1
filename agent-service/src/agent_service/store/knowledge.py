"""Documents and chunks: replacing what changed, and the search over both words and meaning."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import orjson
from shared_models.database import Database
from shared_models.schemas import KnowledgeBaseView

from agent_service.domain.ports import Passage

CANDIDATES = 40
"""How many of the best by words, and by meaning, are considered."""

RANK_CONSTANT = 60
"""Of reciprocal rank fusion: how little the first place counts more than the tenth.
Source: Cormack, Clarke, Büttcher, SIGIR 2009."""

LEAST_SIMILARITY = 0.2
"""By cosine: below it a passage has nothing to do with the query (unrelated sentences: about 0.18)."""

TRY_LOCK = "select pg_try_advisory_lock($1)"
UNLOCK = "select pg_advisory_unlock_all()"

KNOWN = "select base, path, content_hash, model, chunks from knowledge_documents"

LOCK_DOCUMENT = "select pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 0))"
DELETE_CHUNKS = "delete from knowledge_chunks where base = $1 and path = $2"
UPSERT_DOCUMENT = """
insert into knowledge_documents (base, path, title, content_hash, chunks, model) values ($1, $2, $3, $4, $5, $6)
on conflict (base, path) do update
set title = excluded.title, content_hash = excluded.content_hash, chunks = excluded.chunks, model = excluded.model,
    updated_at = now()
"""
INSERT_CHUNKS = """
insert into knowledge_chunks (base, path, n, document, section, text, model, dimensions, embedding)
select $1, $2, c.n - 1, $3, c.section, c.text, $4, vector_dims(c.embedding::vector), c.embedding::vector
from unnest($5::text[], $6::text[], $7::text[]) with ordinality as c (section, text, embedding, n)
"""
REMOVE = "delete from knowledge_documents where (base, path) in (select * from unnest($1::text[], $2::text[]))"

BASES = """
select d.base, count(*) as documents, sum(d.chunks)::bigint as chunks, max(d.updated_at) as updated_at,
       coalesce(string_agg(distinct d.model, ', '), '') as model
from knowledge_documents d group by d.base order by d.base
"""

# Words: any of the query's words will do, more and rarer ones rank higher.
BY_WORDS = f"""
by_words as (
  select id, row_number() over (order by rank desc, id) as place
  from (
    select c.id, ts_rank_cd(c.search, q.words, 1) as rank
    from knowledge_chunks c, (
      select replace(plainto_tsquery('english', $2)::text, ' & ', ' | ')::tsquery as words
    ) q
    where c.base = any($1::text[]) and c.search @@ q.words
    order by rank desc, c.id limit {CANDIDATES}
  ) found
)"""

# Meaning: the setting, for this statement only, lets the index go on until enough chunks of these bases are found. The
# lateral join makes sure that it is set before the index is opened.
BY_MEANING = f"""
by_meaning as (
  select id, row_number() over (order by distance, id) as place
  from (select set_config('hnsw.iterative_scan', 'strict_order', true)) as setting,
  lateral (
    select c.id, c.embedding::vector({{dimensions}}) <=> $4::text::vector({{dimensions}}) as distance
    from knowledge_chunks c
    where setting.set_config is not null and c.dimensions = {{dimensions}} and c.base = any($1::text[]) and c.model = $5
    order by c.embedding::vector({{dimensions}}) <=> $4::text::vector({{dimensions}}) limit {CANDIDATES}
  ) nearest
  where distance <= {1 - LEAST_SIMILARITY}
)"""

# 1.0: first by words and first by meaning.
FUSED = f"""
select c.document, c.section, c.text, (f.score * {RANK_CONSTANT + 1} / {{lists}})::float8 as score
from (
  select id, sum(1.0 / ({RANK_CONSTANT} + place)) as score from ({{found}}) ranked group by id order by score desc, id limit $3
) f
join knowledge_chunks c using (id) order by f.score desc, f.id
"""
WORDS_ONLY = f"with {BY_WORDS}{FUSED.format(lists=1, found='select id, place from by_words')}"
BOTH = "select id, place from by_words union all select id, place from by_meaning"


def hybrid_sql(dimensions: int) -> str:
    """The search for vectors of this length: the index of a length is used only when the statement names it."""
    return f"with {BY_WORDS}, {BY_MEANING.format(dimensions=int(dimensions))}{FUSED.format(lists=2, found=BOTH)}"


@dataclass(frozen=True)
class KnownDocument:
    """A document as it is stored. `model` is None when it has no vectors yet."""

    base: str
    path: str
    content_hash: str
    model: str | None
    chunks: int


@dataclass(frozen=True)
class NewChunk:
    section: str
    text: str
    embedding: Sequence[float] | None


@dataclass(frozen=True)
class NewDocument:
    base: str
    path: str
    title: str
    content_hash: str
    model: str | None
    chunks: Sequence[NewChunk]


async def known_documents(database: Database) -> dict[tuple[str, str], KnownDocument]:
    rows = await database.fetch(KNOWN)
    return {(row["base"], row["path"]): KnownDocument(**dict(row)) for row in rows}


async def replace(database: Database, document: NewDocument) -> None:
    """Put the document in the place of its older self: readers see the one or the other."""
    chunks = document.chunks
    async with database.transaction() as tx:
        await tx.execute(LOCK_DOCUMENT, document.base, document.path)
        await tx.execute(DELETE_CHUNKS, document.base, document.path)
        await tx.execute(
            UPSERT_DOCUMENT,
            document.base,
            document.path,
            document.title,
            document.content_hash,
            len(chunks),
            document.model,
        )
        await tx.execute(
            INSERT_CHUNKS,
            document.base,
            document.path,
            document.title,
            document.model,
            [chunk.section for chunk in chunks],
            [chunk.text for chunk in chunks],
            [None if chunk.embedding is None else vector_text(chunk.embedding) for chunk in chunks],
        )


async def remove(database: Database, gone: Sequence[tuple[str, str]]) -> None:
    await database.execute(REMOVE, [base for base, _ in gone], [path for _, path in gone])


async def list_bases(database: Database) -> list[KnowledgeBaseView]:
    rows = await database.fetch(BASES)
    return [
        KnowledgeBaseView(
            name=row["base"],
            documents=row["documents"],
            chunks=row["chunks"],
            model=row["model"],
            updated_at=row["updated_at"],
        )
        for row in rows
    ]


async def search(
    database: Database, bases: Sequence[str], query: str, limit: int, *, model: str, vector: Sequence[float] | None
) -> list[Passage]:
    """The best passages, best first; by words alone when there is no vector."""
    if vector is None:
        rows = await database.fetch(WORDS_ONLY, list(bases), query, limit)
    else:
        sql = hybrid_sql(len(vector))
        rows = await database.fetch(sql, list(bases), query, limit, vector_text(vector), model)
    return [_passage(row) for row in rows]


def _passage(row: asyncpg.Record) -> Passage:
    return Passage(row["document"], row["section"], row["text"], row["score"])


def vector_text(vector: Sequence[float]) -> str:
    """A vector as pgvector reads it."""
    return orjson.dumps(vector).decode()
