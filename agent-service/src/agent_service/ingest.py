"""Brings the knowledge folder into the database: `python -m agent_service.ingest`, and in the background of the service.

Only what changed is read again, what is gone is removed, and a file that cannot be read is named while the others go on.
One process at a time does it; the others look again later, and then find nothing to do."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from shared_clients.http import create_http
from shared_models.database import Database, asyncpg_url
from shared_models.errors import Unavailable
from shared_models.logging import configure_logging, get_logger

from agent_service.documents import Document, Found, Problem, Unreadable, find_files, read_bytes, read_document
from agent_service.embeddings import Embeddings, EmbeddingsUnavailable, Vector
from agent_service.settings import Settings
from agent_service.store import knowledge as store

LOCK_ID = 0x55A_0005
AGAIN_S = 10.0
"""How long the background waits before it looks again for what it could not finish."""

log = get_logger(__name__)


@dataclass
class Report:
    """What one run did. `without_vectors`: documents that only words can find, as the embedding server is away."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    without_vectors: int = 0
    problems: list[Problem] = field(default_factory=list)
    is_busy_elsewhere: bool = False

    @property
    def is_finished(self) -> bool:
        return not self.is_busy_elsewhere and self.without_vectors == 0


class Ingestor:
    """`lock_url` is a direct connection to the database: behind pgbouncer a session's lock would be lost."""

    def __init__(self, database: Database, embeddings: Embeddings, folder: Path, *, lock_url: str) -> None:
        self._database = database
        self._embeddings = embeddings
        self._folder = folder
        self._lock_url = lock_url
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ingest in the background until everything is in."""
        self._task = asyncio.create_task(self._until_finished(), name="ingest")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def run(self) -> Report:
        """Ingest once. Raises OSError (no folder), Unavailable or asyncpg.PostgresError (no database)."""
        async with self._alone() as is_alone:
            if not is_alone:
                return Report(is_busy_elsewhere=True)
            return await self._ingest()

    async def _until_finished(self) -> None:
        while True:
            try:
                report = await self.run()
                if report.is_finished or (self._embeddings.is_off and not report.is_busy_elsewhere):
                    return
            except OSError as exc:
                log.error("knowledge_folder_unreadable", folder=str(self._folder), cause=str(exc))
            except Exception:
                log.exception("ingest_failed")
            await asyncio.sleep(AGAIN_S)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        """Whether this process holds the lock; a lost connection gives it back."""
        try:
            connection = await asyncpg.connect(asyncpg_url(self._lock_url), timeout=10, command_timeout=10)
        except (OSError, TimeoutError, asyncpg.PostgresError) as exc:
            raise Unavailable from exc
        try:
            yield bool(await connection.fetchval(store.TRY_LOCK, LOCK_ID))
        finally:
            try:
                with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await connection.execute(store.UNLOCK)
            finally:  # also when the service stops just now
                connection.terminate()

    async def _ingest(self) -> Report:
        report = Report()
        files, report.problems = await asyncio.to_thread(find_files, self._folder)
        known = await store.known_documents(self._database)
        for found in files:
            try:
                await self._ingest_file(found, known.get((found.base, found.path)), report)
            except Unreadable as exc:
                report.problems.append(Problem(f"{found.base}/{found.path}", str(exc)))
        # A file that is there but cannot be read keeps what was last read of it.
        there = {(found.base, found.path) for found in files}
        there |= {_place(problem) for problem in report.problems}
        gone = [place for place in known if place not in there]
        if gone:
            await store.remove(self._database, gone)
        report.removed = len(gone)
        _log(report)
        return report

    async def _ingest_file(self, found: Found, known: store.KnownDocument | None, report: Report) -> None:
        raw, content_hash = await asyncio.to_thread(read_bytes, found)
        is_same = known is not None and known.content_hash == content_hash
        if is_same and known is not None and known.model == self._embeddings.model:
            report.unchanged += 1
            return
        document = await read_document(found, raw)
        vectors = await self._vectors(document, report)
        if is_same and vectors is None:
            # Its words are in already, and there is nothing to add. Vectors of another model are of no use now.
            report.unchanged += 1
            return
        await store.replace(self._database, self._new(found, content_hash, document, vectors))
        if known is None:
            report.added += 1
        else:
            report.updated += 1

    async def _vectors(self, document: Document, report: Report) -> list[Vector] | None:
        """None, and counted, when the embedding server is away. It is asked once per run when it is."""
        if report.without_vectors == 0:
            texts = [f"{document.title}\n{chunk.section}\n{chunk.text}" for chunk in document.chunks]
            try:
                return await self._embeddings.embed(texts)
            except EmbeddingsUnavailable as exc:
                log.warning("ingesting_without_vectors", cause=str(exc))
        report.without_vectors += 1
        return None

    def _new(
        self, found: Found, content_hash: str, document: Document, vectors: list[Vector] | None
    ) -> store.NewDocument:
        given: list[Vector] | list[None] = vectors if vectors is not None else [None] * len(document.chunks)
        return store.NewDocument(
            base=found.base,
            path=found.path,
            title=document.title,
            content_hash=content_hash,
            model=self._embeddings.model if vectors is not None else None,
            chunks=[
                store.NewChunk(chunk.section, chunk.text, vector)
                for chunk, vector in zip(document.chunks, given, strict=True)
            ],
        )


def _place(problem: Problem) -> tuple[str, str]:
    base, _, path = problem.where.partition("/")
    return base, path


def _log(report: Report) -> None:
    for problem in report.problems:
        log.warning("document_unreadable", document=problem.where, cause=problem.what)
    log.info(
        "ingested",
        added=report.added,
        updated=report.updated,
        unchanged=report.unchanged,
        removed=report.removed,
        without_vectors=report.without_vectors,
        problems=len(report.problems),
    )


async def ingest(settings: Settings) -> Report:
    """Ingest once with connections of its own."""
    database = Database.of(settings)
    await database.open()
    http = create_http()
    try:
        embeddings = Embeddings(
            http,
            settings.embeddings_url,
            settings.embeddings_model,
            api_key=settings.embeddings_api_key.get_secret_value(),
        )
        lock_url = (settings.database_listen_url or settings.database_url).get_secret_value()
        return await Ingestor(database, embeddings, settings.knowledge_dir, lock_url=lock_url).run()
    finally:
        await http.aclose()
        await database.close()


def main() -> int:
    settings = Settings()
    configure_logging("agent-service", level=settings.log_level, log_format=settings.log_format, stream=sys.stderr)
    try:
        report = asyncio.run(ingest(settings))
    except (OSError, Unavailable, asyncpg.PostgresError) as exc:
        sys.stderr.write(f"nothing was ingested: {exc!r}\n")
        return 1
    if report.is_busy_elsewhere:
        sys.stdout.write("another process is ingesting at this moment\n")
        return 0
    sys.stdout.write(
        f"{report.added} added, {report.updated} updated, {report.unchanged} unchanged, {report.removed} removed\n"
    )
    for problem in report.problems:
        sys.stdout.write(f"not read: {problem.where}: {problem.what}\n")
    if report.without_vectors:
        sys.stdout.write(f"{report.without_vectors} documents without vectors: the embedding server does not answer\n")
    return 1 if report.problems or report.without_vectors else 0


if __name__ == "__main__":
    sys.exit(main())
