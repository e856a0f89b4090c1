"""Slack's three seconds: how soon events are acknowledged while each round trip to PostgreSQL takes 50 ms longer."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from local_stack.ports import free_port
from local_stack.programs import Child, Program, wait_until_ready
from local_stack.settings import inherited_environment

from tests.load.cluster import sql
from tests.load.numbers import Measure, percentile
from tests.load.rounds import BenchFailed
from tests.load.scenarios import Bench
from tests.support.slack_signing import sign

SECRET = "a-signing-secret-of-the-bench"
ADDED_MS = 50
PER_S, SECONDS, PEOPLE = 50, 12, 60
FORWARDED_WITHIN_S = 120.0
READY_TIMEOUT_S = 300.0
STATES = "select state, count(*) as events from inbound_events group by state"


@dataclass
class Acks:
    """`latencies_ms` from when an event was due to leave until its answer; `statuses` of all."""

    latencies_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def acknowledged(bench: Bench) -> None:
    """Direct messages of many people at a steady rate, whatever the answers take; all of them become requests."""
    bench.model.control(latency_ms=0)
    with slow_edge(bench) as env:
        bench.product.more_env = {"integration-dispatcher": env}
        bench.product.start()
        try:
            bench.product.settle()
            url = f"http://127.0.0.1:{bench.product.wiring.ports.integration_dispatcher}/slack/events"
            acks = asyncio.run(send_events(url, PER_S * SECONDS))
            forwarded = count_forwarded(bench, PER_S * SECONDS)
            bench.product.drain()
        finally:
            bench.product.stop()
            bench.product.more_env = {}
    note = f"{PER_S}/s for {SECONDS} s, +{ADDED_MS} ms to PostgreSQL, {dict(acks.statuses)}"
    bench.measure(Measure("Slack ack, p99", percentile(acks.latencies_ms, 0.99), 300, "ms", note=note))
    bench.measure(Measure("Slack ack, the slowest", max(acks.latencies_ms), 2500, "ms"))
    bench.measure(Measure("Slack events acknowledged with 200", acks.statuses[200], PER_S * SECONDS, "", at_least=True))
    bench.measure(Measure("Slack events that became requests", forwarded, PER_S * SECONDS, "", at_least=True))
    bench.fact("Slack ack, p50, ms", percentile(acks.latencies_ms, 0.5))


async def send_events(url: str, count: int) -> Acks:
    """One event every 20 ms, on time also when answers are late: a slow one does not slow the next ones down."""
    acks = Acks()
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        began = time.perf_counter()
        tasks = []
        for number in range(count):
            due = began + number / PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(_send(http, url, number, due, acks)))
        await asyncio.gather(*tasks)
    return acks


async def _send(http: aiohttp.ClientSession, url: str, number: int, due: float, acks: Acks) -> None:
    body = event(number)
    headers = {"content-type": "application/json", **sign(body, secret=SECRET)}
    async with http.post(url, data=body, headers=headers) as reply:
        await reply.read()
        acks.statuses[reply.status] += 1
        acks.latencies_ms.append((time.perf_counter() - due) * 1000)


def event(number: int) -> bytes:
    user = f"U{number % PEOPLE}"
    inner = {
        "type": "message",
        "channel": f"D{user}",
        "channel_type": "im",
        "user": user,
        "text": f"Where is my laptop? {number}",
        "ts": f"1700000000.{number:06d}",
    }
    authorization = {"team_id": "T1", "user_id": "UBOT", "is_bot": True}
    body = {
        "type": "event_callback",
        "team_id": "T1",
        "event_id": f"Ev{number}",
        "event": inner,
        "authorizations": [authorization],
    }
    return json.dumps(body).encode()


def count_forwarded(bench: Bench, count: int) -> int:
    """How many events have become requests once all have ended, or the time is over."""
    give_up_at = time.monotonic() + FORWARDED_WITHIN_S
    while True:
        states = {row["state"]: row["events"] for row in sql(bench.product.wiring.database_url, STATES)}
        if states.get("forwarded", 0) >= count or time.monotonic() > give_up_at:
            return int(states.get("forwarded", 0))
        time.sleep(0.2)


@contextmanager
def slow_edge(bench: Bench) -> Iterator[dict[str, str]]:
    """Start it; yields what the dispatcher must be told to stand behind it. Raises BenchFailed."""
    address = urlsplit(bench.product.wiring.database_url)
    if address.port is None or address.hostname != "127.0.0.1":
        raise BenchFailed("the database of the bench does not listen at 127.0.0.1")
    port, proxy_port = free_port(), free_port()
    options = {"port": port, "proxy-port": proxy_port, "database-port": address.port, "added-ms": ADDED_MS}
    command = [sys.executable, "-m", "tests.load.slow_edge"]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    child = Child(
        Program("slow edge", command, inherited_environment(), port, ready_path="/readyz"),
        bench.product.folder / "slow-edge.log",
    )
    slow = urlunsplit(address._replace(netloc=address.netloc.replace(f":{address.port}", f":{proxy_port}")))
    try:
        wait_until_ready([child], timeout_s=READY_TIMEOUT_S)
        yield {
            "DATABASE_URL": slow,
            "DATABASE_LISTEN_URL": slow,
            "SLACK_SIGNING_SECRET": SECRET,
            "SLACK_BOT_TOKEN": "xoxb-of-the-bench",
            "SLACK_API_URL": f"http://127.0.0.1:{port}/api/",
            "SLACK_POST_EVERY_S": "0",
        }
    finally:
        child.stop()


ALL: dict[str, Callable[[Bench], None]] = {"slack": acknowledged}
