"""The database fixtures that all other integration tests stand on."""

import asyncpg
from local_stack.postgres import PostgresCluster

from tests.support.database import temporary_database


async def test_each_test_gets_a_migrated_database_of_its_own(
    database_url: str, postgres_cluster: PostgresCluster, migrated_template: str
) -> None:
    with temporary_database(postgres_cluster, migrated_template) as other_url:
        mine, other = await asyncpg.connect(database_url), await asyncpg.connect(other_url)
        await mine.execute("create table only_here (id int)")
        versions = [await db.fetchval("select version_num from alembic_version") for db in (mine, other)]
        seen = await other.fetchval("select to_regclass('only_here')")
        await mine.close()
        await other.close()
    assert versions[0] == versions[1]
    assert seen is None


async def test_the_test_cluster_has_vectors_and_many_connections_and_does_not_wait_for_the_disk(
    database_url: str,
) -> None:
    db = await asyncpg.connect(database_url)
    settings = [await db.fetchval(f"show {name}") for name in ("fsync", "max_connections", "shared_preload_libraries")]
    vector = await db.fetchval("select default_version from pg_available_extensions where name = 'vector'")
    await db.close()
    assert settings == ["off", "200", "pg_stat_statements"]
    assert vector
