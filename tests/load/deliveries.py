"""Deliveries alone: answers given to integration-dispatcher as request-manager gives them, out to the test integration."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import repeat

import aiohttp
from shared_models.enums import IntegrationType, RequestStatus, ServiceName
from shared_models.ids import new_id
from shared_models.schemas import AgentRef, AgentResponse, DeliveryWish, Person, ResponseContent
from shared_models.tokens import ServiceTokens

from tests.load.cluster import sql
from tests.load.numbers import Measure, median, show
from tests.load.rounds import BenchFailed
from tests.load.scenarios import ROUNDS, Bench
from tests.load.usage import CpuMeter

DISPATCHER = "integration-dispatcher"
DELIVERIES, CLIENTS = 2000, 32  # per round
WARM = 200
WITHIN_S = 60.0
LOOK_EVERY_S = 0.05
REACH_PER_S, MOST_CPU_MS = 250, 4
CONTENT = "Your laptop ships on Monday. " * 10


def deliveries(bench: Bench) -> None:
    """From the first answer handed over until the last message is in its inbox, its reports on the way beside it."""
    _round(bench, WARM)
    rates, cpu_ms, postgres_ms = zip(*(_round(bench, DELIVERIES) for _ in range(ROUNDS)), strict=True)
    note = f"{DELIVERIES} at {CLIENTS} clients, median of {ROUNDS}; PostgreSQL {show(median(postgres_ms))} ms each"
    bench.measure(
        Measure("deliveries, test integration", median(rates), REACH_PER_S, "per s", at_least=True, note=note)
    )
    bench.measure(Measure("CPU of integration-dispatcher per delivery", median(cpu_ms), MOST_CPU_MS, "ms"))


def _round(bench: Bench, count: int) -> tuple[float, float, float]:
    """Rate per second; CPU milliseconds per delivery of the dispatcher and of PostgreSQL. Raises BenchFailed."""
    bench.product.settle()
    bodies = [_answer().model_dump_json().encode() for _ in range(count)]
    url = bench.product.wiring.database_url
    before = _delivered(url)
    meter = CpuMeter({DISPATCHER: bench.product.pids[DISPATCHER], "postgres": bench.postgres_pid})
    began_s = time.monotonic()
    with meter:
        asyncio.run(_hand_over(bench, bodies))
        while (missing := before + count - _delivered(url)) > 0:
            if time.monotonic() - began_s > WITHIN_S:
                raise BenchFailed(f"{missing} of {count} deliveries did not arrive within {WITHIN_S:.0f} s")
            time.sleep(LOOK_EVERY_S)
        took_s = time.monotonic() - began_s
        bench.product.settle()
    dead = sql(url, "select count(*) as count from work_items where dead_at is not null")[0]["count"]
    if dead:
        raise BenchFailed(f"{dead} dead letters")
    dispatcher_s, postgres_s = meter.spent_s[DISPATCHER], meter.spent_s["postgres"]
    return count / took_s, 1000 * dispatcher_s / count, 1000 * postgres_s / count


async def _hand_over(bench: Bench, bodies: list[bytes]) -> None:
    wiring = bench.product.wiring
    token = ServiceTokens(wiring.secrets.service_token_key, ServiceName.REQUEST_MANAGER).make(
        ServiceName.INTEGRATION_DISPATCHER
    )
    url = f"http://127.0.0.1:{wiring.ports.integration_dispatcher}/api/v1/deliveries"
    waiting = iter(bodies)

    async def client(session: aiohttp.ClientSession) -> None:
        for body in waiting:
            async with session.post(url, data=body) as reply:
                if reply.status != 202:
                    raise BenchFailed(f"a delivery was answered with {reply.status}")

    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {token}"}) as session:
        await asyncio.gather(*map(client, repeat(session, CLIENTS)))


def _delivered(url: str) -> int:
    row = sql(url, "select count(*) as count from test_messages")[0]
    return int(row["count"])


def _answer() -> AgentResponse:
    """Each for another person, as everywhere in the bench."""
    now = datetime.now(UTC)
    return AgentResponse(
        request_id=new_id(),
        session_id=new_id(),
        sequence=1,
        person=Person(user_id=new_id(), email="bench@example.com", name="Bench"),
        integration_type=IntegrationType.WEB,
        status=RequestStatus.COMPLETED,
        response=ResponseContent(content=CONTENT, agent=AgentRef(name="bench", version="1")),
        delivery=DeliveryWish(mode="targets", targets=[IntegrationType.TEST]),
        created_at=now,
        ended_at=now,
        deadline_at=now + timedelta(hours=24),
    )


ALL: dict[str, Callable[[Bench], None]] = {"deliveries": deliveries}
