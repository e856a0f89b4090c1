"""Dead letters lose their content, then go; what a worker without a row holds is freed; the gauges tell how full queues are."""

from collections.abc import AsyncIterator

import pytest
from agent_service.store.retention import removals as of_runs
from integration_dispatcher.store.retention import removals as of_deliveries
from prometheus_client import Gauge
from pydantic import SecretStr, ValidationError
from request_manager.store.retention import removals as of_requests
from shared_models import queue_states
from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.retention import BATCH, Removal, Retention, of_every_service
from shared_models.settings import ServiceSettings
from shared_models.telemetry import DEAD_LETTERS, DEPTH, DUE_AGE, OLDEST_AGE
from shared_models.worker import Worker

from tests.support.database import superuser
from tests.support.waiting import eventually

SERVICE = ServiceName.AGENT_SERVICE
DIE = """
insert into work_items (queue, ref, payload, last_error, dead_at) values ($1, 'r', $2, 'it broke', now() - $3 * interval '1 day')
"""
FILL = """
insert into work_items (queue, ref, payload, dead_at)
select $1, n::text, '{}', now() - $2 * interval '1 day' from generate_series(1, $3) n
"""


def settings(**changes: float) -> ServiceSettings:
    secrets = {"database_url": SecretStr("postgresql://x"), "service_token_key": SecretStr("k" * 40)}
    return ServiceSettings(**secrets, **changes)  # type: ignore[arg-type]  # the changes are numbers of days


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, role="ssa_agent_service")
    await database.open()
    yield database
    await database.close()


async def test_a_dead_letter_loses_its_content_first_and_goes_later(database: Database) -> None:
    event = {
        "specversion": "1.0",
        "id": "7",
        "type": "t",
        "source": "/s",
        "extensions": {"requestid": "q"},
        "data": "secret",
    }
    refused = {
        "headers": {"ce-secret": "secret"},
        "body": "c2VjcmV0",
        "event": {"id": "8", "knativeerrordata": "secret"},
    }
    await database.execute(DIE, "agent-service.events", event, 9)
    await database.execute(DIE, "agent-service.refused", refused, 9)
    await database.execute(DIE, "agent-service.events", event, 7)
    await database.execute(DIE, "agent-service.events", event, 91)
    await database.execute(DIE, "request-manager.responses", event, 91)
    removed = await Retention(database, of_every_service(SERVICE, settings())).run_once()
    assert removed == {"dead_letter_content": 3, "dead_letters": 1}
    rows = await database.fetch("select queue, payload, last_error from work_items order by dead_at, id")
    assert [row["queue"] for row in rows] == [
        "request-manager.responses",
        "agent-service.events",
        "agent-service.refused",
        "agent-service.events",
    ]
    assert rows[1]["payload"] == {
        "purged": True,
        "event": {"id": "7", "type": "t", "source": "/s", "requestid": "q"},
    }
    assert rows[2]["payload"] == {"purged": True, "event": {"id": "8"}}
    assert rows[3]["payload"] == event
    assert await Retention(database, of_every_service(SERVICE, settings())).run_once() == {
        "dead_letter_content": 0,
        "dead_letters": 0,
    }


async def test_more_than_a_batch_goes_batch_by_batch_and_only_the_own_rows(database: Database) -> None:
    await database.execute(FILL, "agent-service.runs", 91, BATCH + 5)
    await database.execute(FILL, "request-manager.responses", 91, 1)
    await database.execute(FILL, "agent-service.runs", 89, 1)
    removed = await Retention(database, of_every_service(SERVICE, settings())).run_once()
    assert removed == {"dead_letter_content": BATCH + 6, "dead_letters": BATCH + 5}
    assert await database.fetchval("select count(*) from work_items") == 2


async def test_the_job_runs_by_itself_and_outlives_an_error(database: Database) -> None:
    await database.execute(FILL, "agent-service.runs", 91, 1)
    broken = Removal("broken", "select 1 / (select count(*) from work_items)::int where $1 > 0", 1)
    job = Retention(database, [*of_every_service(SERVICE, settings()), broken], every_s=0.01)
    job.start()

    async def is_gone() -> bool:
        return await database.fetchval("select count(*) from work_items") == 0

    await eventually(is_gone)
    await database.execute(FILL, "agent-service.runs", 91, 1)
    await eventually(is_gone)
    await job.stop()


def test_records_that_would_go_before_what_they_guard_stop_the_start() -> None:
    for changes in ({"record_retention_days": 90.0}, {"dead_letter_days": 400.0}):
        with pytest.raises(ValidationError, match="RECORD_RETENTION_DAYS must be more"):
            settings(**changes)


async def test_what_is_due_is_found_by_an_index(database_url: str) -> None:
    async with superuser(database_url) as connection:
        await connection.execute("set enable_seqscan = off")
        for removals in (of_requests, of_runs, of_deliveries):
            for removal in removals(settings()):
                plan = await connection.fetch("explain " + removal.sql.replace("$1::float8", "90.0::float8"))
                assert not [row[0] for row in plan if "Seq Scan" in row[0]], removal.what


async def test_leases_of_a_worker_of_another_service_that_is_gone_are_freed(database: Database) -> None:
    """A whole service stays away: any other one frees what it held, and counts it as lost."""
    await database.execute(
        "insert into workers (id, service, host, pid, alive_until) values ('w', 'x', 'h', 1, now() - interval '1 s')"
    )
    await hold(database, "w")
    assert await Worker(database, SERVICE).reap() == 1
    assert await held(database) == 0
    assert await database.fetchval("select sum(lost) from work_items") == 2


async def test_leases_of_a_worker_that_was_never_registered_are_freed_at_the_second_look(database: Database) -> None:
    worker = Worker(database, SERVICE)
    await worker.start()
    await hold(database, "ghost")
    await database.execute(
        "insert into work_items (queue, payload, leased_by, claim) values ('request-manager.x', '{}', $1, 1)", worker.id
    )
    assert await worker.reap_orphans() == 0
    assert await held(database) == 4
    assert await worker.reap_orphans() == 1
    assert await held(database) == 1
    assert await database.fetchval("select leased_by from work_items where leased_by is not null") == worker.id
    assert await database.fetchval("select pending from lanes") == 1
    await worker.stop()


async def test_a_worker_that_has_registered_by_the_second_look_keeps_its_leases(database: Database) -> None:
    worker = Worker(database, SERVICE)
    await hold(database, "late")
    assert await worker.reap_orphans() == 0
    await database.execute(
        "insert into workers (id, service, host, pid, alive_until) values ('late', 'x', 'h', 1, now())"
    )
    assert await worker.reap_orphans() == 0
    assert await held(database) == 3


async def hold(database: Database, worker: str) -> None:
    """A free row, and a lane with its first row, leased to `worker`."""
    await database.execute(
        "insert into lanes (queue, key, pending, next_seq, leased_by) values ('q', 'k', 1, 2, $1)", worker
    )
    for key in (None, "k"):
        await database.execute(
            "insert into work_items (queue, key, payload, leased_by, claim) values ('q', $2, '{}', $1, 1)", worker, key
        )


async def held(database: Database) -> int:
    """Leases of all rows and lanes."""
    count = await database.fetchval(
        "select (select count(leased_by) from work_items) + (select count(leased_by) from lanes)"
    )
    assert isinstance(count, int)
    return count


async def test_the_gauges_tell_depth_age_and_dead_letters_of_each_queue(database: Database) -> None:
    await database.execute(
        "insert into work_items (queue, payload, created_at, run_at) values ('agent-service.events', '{}',"
        " now() - interval '1 hour', now() + interval '1 minute')"
    )
    await database.execute(DIE, "agent-service.refused", {}, 1)
    await database.execute(DIE, "request-manager.refused", {}, 1)
    await queue_states.refresh_gauges(database, SERVICE, ["agent-service.events", "agent-service.runs"])
    assert value(DEPTH, "agent-service.events") == 1
    assert 3600 <= value(OLDEST_AGE, "agent-service.events") < 3700
    assert value(DEAD_LETTERS, "agent-service.refused") == 1
    assert (value(DEPTH, "agent-service.runs"), value(OLDEST_AGE, "agent-service.runs")) == (0, 0)


@pytest.mark.parametrize(
    ("lane", "row", "waits"),
    [
        (None, "key = null, run_at = now() - interval '90 seconds'", True),
        (None, "key = null, run_at = now() + interval '90 seconds'", False),
        (None, "key = null, run_at = now() - interval '90 seconds', leased_by = 'w'", False),
        (None, "key = null, run_at = now() - interval '90 seconds', dead_at = now()", False),
        ("run_at = now() - interval '90 seconds'", "run_at = now() - interval '1 day'", True),
        ("run_at = now() - interval '90 seconds', leased_by = 'w'", "run_at = now() - interval '1 day'", False),
        ("run_at = now() + interval '90 seconds'", "run_at = now() - interval '1 day'", False),
    ],
)
async def test_only_what_could_run_now_asks_for_more_replicas(
    database: Database, lane: str | None, row: str, waits: bool
) -> None:
    """A lane (one session) works on one row at a time: those behind it do not wait for a worker."""
    if lane:
        await database.execute(
            "insert into lanes (queue, key, pending, next_seq) values ('agent-service.runs', 'k', 1, 2)"
        )
        await database.execute(f"update lanes set {lane}")
    await database.execute("insert into work_items (queue, key, payload) values ('agent-service.runs', 'k', '{}')")
    await database.execute(f"update work_items set {row}")
    await queue_states.refresh_gauges(database, SERVICE, ["agent-service.runs"])
    assert (90 <= value(DUE_AGE, "agent-service.runs") < 600) is waits
    assert waits or value(DUE_AGE, "agent-service.runs") == 0


def value(gauge: Gauge, queue: str) -> float:
    samples = [
        sample.value for metric in gauge.collect() for sample in metric.samples if sample.labels["queue"] == queue
    ]
    assert len(samples) == 1
    return float(samples[0])
