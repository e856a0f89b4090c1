"""Search in the company's documents: the port Knowledge over PostgreSQL and an embedding server."""

import time
from collections.abc import Callable, Sequence

import asyncpg
from shared_models.database import Database
from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from shared_models.schemas import KnowledgeBaseView

from agent_service.domain.ports import Passage
from agent_service.embeddings import Embeddings, EmbeddingsUnavailable, Vector
from agent_service.errors import KnowledgeUnavailable
from agent_service.store import knowledge as store

MAX_QUERY_CHARS = 2_000
PAUSE_S = 10.0
"""So long nobody waits again for an embedding server that has just failed."""

log = get_logger(__name__)


class KnowledgeSearch:
    def __init__(
        self, database: Database, embeddings: Embeddings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._embeddings = embeddings
        self._clock = clock
        self._paused_until = float("-inf")

    async def search(self, bases: Sequence[str], query: str, limit: int) -> list[Passage]:
        """The best passages of these bases; by words alone while the embedding server is away.

        Raises KnowledgeUnavailable."""
        asked = query.replace("\x00", " ").strip()[:MAX_QUERY_CHARS]
        if not asked or not bases or limit < 1:
            return []
        vector = await self._vector(asked)
        try:
            return await store.search(self._database, bases, asked, limit, model=self._embeddings.model, vector=vector)
        except (Unavailable, asyncpg.PostgresError) as exc:
            raise KnowledgeUnavailable(f"{type(exc).__name__}: {exc}"[:300]) from exc

    async def list_bases(self) -> list[KnowledgeBaseView]:
        return await store.list_bases(self._database)

    async def warm(self) -> None:
        """Search once, so that the first person does not wait for connections and plans."""
        await self.search(["-"], "warm up", 1)

    async def _vector(self, query: str) -> Vector | None:
        if self._clock() < self._paused_until:
            return None
        try:
            return await self._embeddings.embed_query(query)
        except EmbeddingsUnavailable as exc:
            self._paused_until = self._clock() + PAUSE_S
            log.warning("searching_by_words_alone", cause=str(exc))
            return None
