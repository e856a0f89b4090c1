"""The real encoder and the shipped documents, read once per run: a database that has them is copied for each system."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from agent_service.embeddings import Embeddings
from agent_service.ingest import Ingestor
from agent_service.settings import KNOWLEDGE_FOLDER, Settings
from local_stack.demo_rules.app import create_app as create_demo_rules
from local_stack.demo_rules.embeddings import Encode, Encoder, Vector, load_use
from local_stack.postgres import PostgresCluster
from shared_models.database import Database

from tests.support.database import run_sql, temporary_database

TEMPLATE = "informed"


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """Loaded once; it remembers each text."""

    def load() -> Encode:
        encode, known = load_use(), dict[str, Vector]()

        def remember(texts: list[str]) -> list[Vector]:
            new = [text for text in dict.fromkeys(texts) if text not in known]
            if new:
                known.update(zip(new, encode(new), strict=True))
            return [known[text] for text in texts]

        return remember

    return Encoder(load)


@pytest.fixture(scope="session")
def informed_template(postgres_cluster: PostgresCluster, migrated_template: str, encoder: Encoder) -> str:
    """The name of a database with the newest schema and the shipped documents, to be copied."""
    run_sql(postgres_cluster.url("postgres"), f"create database {TEMPLATE} template {migrated_template}")
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, _read_documents(postgres_cluster.url(TEMPLATE), encoder)).result()
    run_sql(postgres_cluster.url("postgres"), f"alter database {TEMPLATE} is_template true allow_connections false")
    return TEMPLATE


@pytest.fixture
def informed_database_url(postgres_cluster: PostgresCluster, informed_template: str) -> Iterator[str]:
    """A fresh database with the shipped documents for one test, as its superuser."""
    with temporary_database(postgres_cluster, informed_template) as url:
        yield url


async def _read_documents(url: str, encoder: Encoder) -> None:
    database = Database(url, role="ssa_agent_service")
    await database.open()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(create_demo_rules(encoder))) as http:
            model = str(Settings.model_fields["embeddings_model"].default)
            embeddings = Embeddings(http, "http://embeddings.test/v1", model)
            report = await Ingestor(database, embeddings, KNOWLEDGE_FOLDER, lock_url=url).run()
    finally:
        await database.close()
    assert report.is_finished, report
    assert report.added, report
