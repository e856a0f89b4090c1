"""The local broker as a process: killed, without its database, twice at once, wrongly configured."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import yaml
from local_stack.ports import free_port
from local_stack.postgres import PostgresCluster
from shared_models.database import asyncpg_url

from tests.support.broker import ORDERED, Receiver, broker, exact, running_receiver, trigger
from tests.support.broker_process import BrokerProcess, broker_environment, broker_process, spawn_broker
from tests.support.database import throwaway_cluster
from tests.support.waiting import eventually

DELIVERY = {"retry": 20, "backoffPolicy": "linear", "backoffDelay": "PT0.05S", "timeout": "PT60S"}
OBJECTS = [
    broker(),
    trigger("one", "/one", delivery=DELIVERY, annotations=ORDERED),
    trigger("two", "/two", delivery=DELIVERY, annotations=ORDERED),
]
KEYS = [f"key-{number}" for number in range(8)]
KILLS = 6
PER_KEY = 60


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


def firsts(receiver: Receiver, path: str, key: str) -> list[str]:
    """The ids of a key in the order in which they came for the first time."""
    return list(dict.fromkeys(each.id for each in receiver.at(path) if each.headers["ce-partitionkey"] == key))


async def send_all(running: BrokerProcess) -> None:
    async def send_key(key: str) -> None:
        for number in range(PER_KEY):
            await running.send(key, f"{key}-{number}")

    await asyncio.gather(*(send_key(key) for key in KEYS))


def assert_all_came_in_order(receiver: Receiver, running: BrokerProcess) -> None:
    for key in KEYS:
        assert running.taken[key] == [f"{key}-{number}" for number in range(PER_KEY)]
        for path in ("/one", "/two"):
            assert firsts(receiver, path, key) == running.taken[key]


async def test_a_kill_between_the_202_and_the_delivery_loses_nothing(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.released.clear()
    async with broker_process(empty_database_url, tmp_path, OBJECTS, receiver) as running:
        for number in range(5):
            await running.send("k", str(number))
        await receiver.wait_for(1, "/one")
        await running.kill()
        before = len(receiver.at("/one"))
        receiver.released.set()
        await running.start()
        await running.idle()
    assert receiver.ids("/one")[before:] == ["0", "1", "2", "3", "4"]


async def test_kills_at_any_moment_lose_nothing_and_keep_the_order_of_each_key(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    chance = random.Random(7)
    async with broker_process(empty_database_url, tmp_path, OBJECTS, receiver) as running:
        sending = asyncio.create_task(send_all(running))
        for _ in range(KILLS):
            await until_more_came(receiver, chance.randrange(20, 80), sending)
            await running.kill()
            await running.start()
        await sending
        await running.idle()
    assert_all_came_in_order(receiver, running)


async def until_more_came(receiver: Receiver, count: int, sending: "asyncio.Task[None]") -> None:
    goal = len(receiver.received) + count

    async def have_come() -> bool:
        return len(receiver.received) >= goal or sending.done()

    await eventually(have_come)


async def test_a_database_that_dies_and_comes_back_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    with throwaway_cluster(free_port(), synchronous_commit="on") as cluster:
        async with broker_process(cluster.url("postgres"), tmp_path, OBJECTS, receiver) as running:
            sending = asyncio.create_task(send_all(running))
            for _ in range(2):
                await until_more_came(receiver, 100, sending)
                await asyncio.to_thread(crash, cluster)
                await asyncio.to_thread(cluster.start)
            await sending
            await running.idle()
            connection = await asyncpg.connect(asyncpg_url(cluster.url("postgres")))
            assert await connection.fetchval("select count(*) from local_broker.events") == 0
            await connection.close()
    assert_all_came_in_order(receiver, running)


async def test_without_its_database_it_takes_nothing_and_recovers_unaided(tmp_path: Path, receiver: Receiver) -> None:
    with throwaway_cluster(free_port(), synchronous_commit="on") as cluster:
        async with broker_process(cluster.url("postgres"), tmp_path, OBJECTS, receiver) as running:
            await asyncio.to_thread(crash, cluster)
            assert (await running.post("k", "lost"), await running.ready_status()) == (503, 503)
            await asyncio.to_thread(cluster.start)
            assert await running.ready_status() == 200
            await running.send("k", "taken")
            await running.idle()
    assert receiver.ids("/one") == ["taken"]


def crash(cluster: PostgresCluster) -> None:
    """The server ends without a checkpoint and recovers at its next start."""
    server = psutil.Process(cluster.server_pid)
    server.send_signal(signal.SIGQUIT)
    server.wait(timeout=300)
    cluster.stop()


async def test_a_second_broker_on_the_same_database_is_refused(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    async with broker_process(empty_database_url, tmp_path, OBJECTS, receiver) as running:
        log = tmp_path / "second.log"
        second = await spawn_broker(running.env, free_port(), log)
        assert await asyncio.wait_for(second.wait(), timeout=300) == 3
        assert "another broker runs on this database" in log.read_text()
        await running.send("k", "still at work")
        await running.idle()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"subscribers": "/x"}, "Trigger t: spec: unknown field 'subscribers'"),
        ({"filters": [exact(type="a"), {"prefix": {"type": "a"}}]}, "filter dialect 'prefix'"),
        ({"delivery": {"retries": 3}}, "Trigger t: spec.delivery: unknown field 'retries'"),
        ({"delivery": {"timeout": "30s"}}, "'30s' is no ISO 8601 duration"),
        ({"subscriber": {"ref": {"name": "nobody"}}}, "knows no address of 'nobody'"),
        ({"broker": "other"}, "spec.broker names no Broker"),
    ],
)
async def test_manifests_that_it_cannot_serve_end_the_start_with_the_field_named(
    tmp_path: Path, spec: dict[str, object], words: str
) -> None:
    manifests, log = tmp_path / "manifests.yaml", tmp_path / "broker.log"
    wrong = trigger("t", "/in")
    wrong["spec"] |= spec
    manifests.write_text(yaml.safe_dump_all([broker(), wrong]))
    env = broker_environment("postgresql://nowhere", manifests, "http://127.0.0.1:9")
    process = await spawn_broker(env, free_port(), log)
    assert await asyncio.wait_for(process.wait(), timeout=300) == 2
    assert words in log.read_text()
