"""Ingest and search on real PostgreSQL: what changes, what is found, what happens without the embedding server."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from agent_service.embeddings import Embeddings
from agent_service.errors import KnowledgeUnavailable
from agent_service.ingest import LOCK_ID, Ingestor, Report, ingest
from agent_service.knowledge import KnowledgeSearch
from agent_service.settings import KNOWLEDGE_FOLDER, Settings
from agent_service.store import knowledge as store
from agent_service.store.knowledge import hybrid_sql, vector_text
from local_stack.demo_rules.app import create_app as create_demo_rules
from pydantic import SecretStr
from shared_models.database import Database
from shared_models.tokens import new_identity_key_pair

from tests.support.database import superuser
from tests.support.embeddings import FakeEmbeddings, small_pdf
from tests.support.waiting import eventually

VPN = """\
# Remote work

## VPN

Open the client and sign in.

## Cars

A car is parked in the garage. An automobile too.
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Connected as the service is: with the role that may write only its own tables."""
    opened = Database(database_url, role="ssa_agent_service", pool_size=4)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "it-help").mkdir()
    (tmp_path / "it-help" / "vpn.md").write_text(VPN)
    (tmp_path / "it-help" / "printing.txt").write_text("Hold up your badge at the printer.")
    (tmp_path / "laptops").mkdir()
    (tmp_path / "laptops" / "guide.pdf").write_bytes(small_pdf("Return the old laptop within 14 days", title="Guide"))
    return tmp_path


class World:
    """An embedding server, and what uses it."""

    def __init__(self, database: Database, folder: Path, url: str, http: httpx.AsyncClient, model: str = "m") -> None:
        embeddings = Embeddings(http, "http://embeddings.test/v1", model)
        self.ingestor = Ingestor(database, embeddings, folder, lock_url=url)
        self.search = KnowledgeSearch(database, embeddings)

    async def found(self, query: str, base: str = "it-help", limit: int = 3) -> list[tuple[str, str]]:
        return [(hit.document, hit.section) for hit in await self.search.search([base], query, limit)]


@pytest.fixture
def server() -> FakeEmbeddings:
    return FakeEmbeddings()


@pytest.fixture
async def world(database: Database, database_url: str, folder: Path, server: FakeEmbeddings) -> AsyncIterator[World]:
    async with server.client() as http:
        yield World(database, folder, database_url, http)


def counts(report: Report) -> tuple[int, int, int, int]:
    return report.added, report.updated, report.unchanged, report.removed


async def chunks(database: Database) -> int:
    count = await database.fetchval("select count(*) from knowledge_chunks")
    assert isinstance(count, int)
    return count


async def test_a_folder_is_taken_in_and_a_second_run_changes_nothing(
    world: World, database: Database, server: FakeEmbeddings
) -> None:
    report = await world.ingestor.run()
    assert counts(report) == (3, 0, 0, 0)
    assert report.is_finished
    assert await chunks(database) == 4
    embedded = len(server.texts)
    ids = await database.fetch("select id from knowledge_chunks order by id")
    assert counts(await world.ingestor.run()) == (0, 0, 3, 0)
    assert len(server.texts) == embedded, "nothing is embedded twice"
    assert await database.fetch("select id from knowledge_chunks order by id") == ids


async def test_only_what_changed_is_replaced_and_what_is_gone_is_removed(
    world: World, database: Database, server: FakeEmbeddings, folder: Path
) -> None:
    await world.ingestor.run()
    kept = await database.fetch("select id from knowledge_chunks where path = 'printing.txt'")
    (folder / "it-help" / "vpn.md").write_text("# Remote work\n\n## VPN\n\nAsk the service desk.\n")
    (folder / "laptops" / "guide.pdf").unlink()
    (folder / "it-help" / "new.md").write_text("# New\n\nSomething new.\n")
    server.texts.clear()
    assert counts(await world.ingestor.run()) == (1, 1, 1, 1)
    assert len(server.texts) == 2
    assert await database.fetch("select id from knowledge_chunks where path = 'printing.txt'") == kept
    assert await chunks(database) == 3
    assert await world.found("garage automobile") == []
    assert [base.name for base in await world.search.list_bases()] == ["it-help"]


async def test_a_file_that_cannot_be_read_is_named_and_the_others_go_on(
    world: World, database: Database, folder: Path
) -> None:
    (folder / "it-help" / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    (folder / "it-help" / "latin.txt").write_bytes(b"gr\xfc\xdfe")
    report = await world.ingestor.run()
    assert report.added == 3
    assert {problem.where for problem in report.problems} == {"it-help/broken.pdf", "it-help/latin.txt"}
    assert report.is_finished, "trying again would not help"


async def test_a_document_that_breaks_keeps_what_was_last_read_of_it(
    world: World, database: Database, folder: Path
) -> None:
    await world.ingestor.run()
    (folder / "laptops" / "guide.pdf").write_bytes(b"broken")
    report = await world.ingestor.run()
    assert [problem.where for problem in report.problems] == ["laptops/guide.pdf"]
    assert await world.found("return the old laptop", "laptops") == [("Guide", "page 1")]


async def test_a_missing_folder_removes_nothing(world: World, database: Database, folder: Path) -> None:
    await world.ingestor.run()
    await asyncio.to_thread(folder.rename, folder.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError):
        await world.ingestor.run()
    assert await chunks(database) == 4


async def test_words_and_meaning_are_found_together(world: World) -> None:
    await world.ingestor.run()
    assert (await world.found("How do I sign in with the VPN client?"))[0] == ("Remote work", "VPN")
    assert (await world.found("printers"))[0] == ("printing", ""), "words are stemmed"
    assert (await world.found("vehicle garage"))[0] == ("Remote work", "Cars")
    assert (await world.found("vehicle"))[0] == ("Remote work", "Cars"), "no word in common, but the meaning"
    assert await world.found("quantum chromodynamics") == []


async def test_what_is_best_both_ways_scores_highest(world: World) -> None:
    await world.ingestor.run()
    hits = await world.search.search(["it-help"], "Open the client and sign in to the VPN", 5)
    assert hits[0].section == "VPN"
    assert hits[0].score == pytest.approx(1.0)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert hits[0].text == "Open the client and sign in."


async def test_only_the_bases_that_are_asked_for_are_searched(world: World) -> None:
    await world.ingestor.run()
    assert await world.found("sign in VPN client", "laptops") == []
    both = await world.search.search(["laptops", "it-help"], "return laptop badge printer", 5)
    assert {hit.document for hit in both} == {"Guide", "printing"}
    assert await world.search.search([], "VPN", 5) == []
    assert await world.found("   ") == []
    assert len(await world.search.search(["it-help"], "the client badge car", 1)) == 1


@pytest.mark.parametrize(
    "query",
    ["'; drop table knowledge_chunks; --", "a & b | !c:* <-> (", "\x00vpn\x00", "'vpn", "x" * 100_000, "🚗 vpn"],
)
async def test_a_strange_query_is_only_a_query(world: World, database: Database, query: str) -> None:
    await world.ingestor.run()
    await world.found(query)
    assert await chunks(database) == 4


async def test_without_the_embedding_server_words_are_enough(
    world: World, database: Database, server: FakeEmbeddings
) -> None:
    server.status = 503
    report = await world.ingestor.run()
    assert counts(report) == (3, 0, 0, 0)
    assert report.without_vectors == 3
    assert not report.is_finished
    assert await world.found("VPN client") == [("Remote work", "VPN")]
    assert counts(await world.ingestor.run()) == (0, 0, 3, 0)
    server.status = 200
    report = await world.ingestor.run()
    assert counts(report) == (0, 3, 0, 0)
    assert report.is_finished
    assert await database.fetchval("select count(*) from knowledge_chunks where dimensions = 512 and model = 'm'") == 4


async def test_a_search_does_not_knock_again_and_again_at_a_server_that_is_away(
    database: Database, database_url: str, folder: Path
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        raise httpx.ConnectError("refused")

    now = 0.0
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        embeddings = Embeddings(http, "http://embeddings.test/v1", "m")
        await Ingestor(database, embeddings, folder, lock_url=database_url).run()
        asked.clear()
        search = KnowledgeSearch(database, embeddings, clock=lambda: now)
        for _ in range(5):
            assert await search.search(["it-help"], "VPN client", 3)
        assert len(asked) == 1
        now = 60.0
        await search.search(["it-help"], "VPN client", 3)
        assert len(asked) == 2


async def test_another_model_replaces_the_vectors(
    world: World, database: Database, database_url: str, folder: Path
) -> None:
    await world.ingestor.run()
    async with FakeEmbeddings(dimensions=100).client() as http:
        other = World(database, folder, database_url, http, model="other")
        assert (await other.found("VPN client"))[0] == ("Remote work", "VPN"), "by words, until its vectors are in"
        assert counts(await other.ingestor.run()) == (0, 3, 0, 0)
        assert (await other.found("vehicle"))[0] == ("Remote work", "Cars"), "a length without an index works too"
        assert {base.model for base in await other.search.list_bases()} == {"other"}


async def test_bases_are_listed_with_their_numbers(world: World) -> None:
    await world.ingestor.run()
    bases = {base.name: base for base in await world.search.list_bases()}
    assert (bases["it-help"].documents, bases["it-help"].chunks, bases["it-help"].model) == (2, 3, "m")
    assert bases["it-help"].updated_at is not None


async def test_replicas_ingest_one_at_a_time(world: World, database: Database, database_url: str) -> None:
    async with superuser(database_url) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK_ID)
        report = await world.ingestor.run()
        assert report.is_busy_elsewhere
        assert not report.is_finished
        assert await chunks(database) == 0
    reports = [await world.ingestor.run() for _ in range(2)]
    assert [counts(report) for report in reports] == [(3, 0, 0, 0), (0, 0, 3, 0)]


async def test_a_stop_while_the_lock_is_given_back_leaves_no_connection(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = asyncpg.connect
    opened: list[Any] = []

    async def connecting(*args: Any, **options: Any) -> Any:
        opened.append(await connect(*args, **options))
        return opened[-1]

    async def waits() -> object:
        return await other.fetchval("select count(*) from pg_locks where locktype = 'advisory' and not granted")

    monkeypatch.setattr(asyncpg, "connect", connecting)
    monkeypatch.setattr(store, "UNLOCK", f"select pg_advisory_lock({LOCK_ID + 1})")
    async with superuser(database_url) as other:
        await other.execute("select pg_advisory_lock($1)", LOCK_ID + 1)
        world.ingestor.start()
        await eventually(waits)
        await world.ingestor.stop()
        assert [each.is_closed() for each in opened] == [False, True]


async def test_even_without_the_lock_two_writers_leave_one_document(
    world: World, database: Database, database_url: str, folder: Path, server: FakeEmbeddings
) -> None:
    async with server.client() as http:
        others = [World(database, folder, database_url, http).ingestor for _ in range(3)]
        await asyncio.gather(*[each._ingest() for each in others])
    assert await chunks(database) == 4


async def test_the_background_run_ends_when_all_is_in(world: World, database: Database) -> None:
    world.ingestor.start()
    assert world.ingestor._task is not None
    await asyncio.wait_for(world.ingestor._task, timeout=60)
    assert await chunks(database) == 4
    await world.ingestor.stop()


async def test_a_database_that_is_away_is_told(world: World, database: Database) -> None:
    await database.close()
    with pytest.raises(KnowledgeUnavailable):
        await world.search.search(["it-help"], "VPN", 3)


async def fill(connection: asyncpg.Connection, server: FakeEmbeddings, base: str, texts: list[str]) -> None:
    await connection.execute(
        "insert into knowledge_documents (base, path, title, content_hash, chunks) values ($1, 'a', 'a', 'a', $2)",
        base,
        len(texts),
    )
    await connection.execute(
        "insert into knowledge_chunks (base, path, n, document, section, text, model, dimensions, embedding) "
        "select $1, 'a', n, 'a', $1, text, 'm', 512, vector::vector "
        "from unnest($2::text[], $3::text[]) with ordinality as c (text, vector, n)",
        base,
        texts,
        [vector_text(server.vector(text)) for text in texts],
    )


async def test_the_index_serves_a_base_that_is_a_drop_in_the_sea(database_url: str, server: FakeEmbeddings) -> None:
    numbers = random.Random(7)
    sea = [f"vehicle {' '.join(f'w{numbers.randrange(300)}' for _ in range(n % 4 + 1))}" for n in range(1500)]
    drop = [f"vehicle {' '.join(f'd{numbers.randrange(300)}' for _ in range(6))}" for _ in range(60)]
    async with superuser(database_url) as connection:
        await fill(connection, server, "drop", drop)
        await fill(connection, server, "sea", sea)
        for setting in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
            await connection.execute(f"set {setting} = off")
        arguments = (["drop"], "car", 3, vector_text(server.vector("car")), "m")
        plan = await connection.fetch("explain " + hybrid_sql(512), *arguments)
        hits = await connection.fetch(hybrid_sql(512), *arguments)
    assert any("ix_knowledge_chunks_vector_512" in row[0] for row in plan)
    assert [hit["section"] for hit in hits] == ["drop"] * 3, "the nearest forty of all are in the sea"


async def test_the_command_takes_in_the_shipped_documents_with_the_real_encoder(database_url: str) -> None:
    settings = Settings(
        database_url=SecretStr(database_url),
        database_role="ssa_agent_service",
        service_token_key=SecretStr("k" * 32),
        identity_signing_key=SecretStr(new_identity_key_pair()[0]),
    )
    database = Database.of(settings)
    await database.open()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=create_demo_rules())) as http:
            embeddings = Embeddings(http, "http://demo-rules.test/v1", settings.embeddings_model)
            report = await Ingestor(database, embeddings, KNOWLEDGE_FOLDER, lock_url=database_url).run()
            assert (report.problems, report.without_vectors, report.removed) == ([], 0, 0)
            search = KnowledgeSearch(database, embeddings)
            for base, query, document in QUESTIONS:
                hits = await search.search([base], query, 3)
                assert hits, query
                assert document in [hit.document for hit in hits], (query, hits)
            assert (await ingest(settings)).unchanged == report.added, "a later run has nothing to embed"
    finally:
        await database.close()


QUESTIONS = [
    ("it-help", "How do I get onto the internal network when I am travelling?", "VPN"),
    ("it-help", "I forgot my password", "Passwords and second factor"),
    ("it-help", "nothing comes out of the printer", "Printing"),
    ("it-help", "my notebook stays dark when I press the power button", "Broken hardware"),
    ("laptop-refresh", "after how many months may a laptop be replaced", "Laptop refresh policy"),
]
