"""The load generator, a process of its own: reads one job as JSON from stdin, writes what happened as JSON to stdout.

Every request carries a fresh nonce, and, where the job names keys, another person's key. An answer is right when its body
has the nonce behind the fake model's words."""

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
import uvloop

from tests.load.fake_responses import PREFIX


@dataclass(frozen=True)
class Job:
    """`clients` ask in closed loops until `seconds` are over or `count` requests were made, whichever is given.

    `keys`: API keys, used one after the other. `keeps_sessions`: requests with the same key are turns of one session.
    `expects`: "answer" (200 with the nonce) or "accepted" (202)."""

    url: str
    clients: int
    seconds: float | None = None
    count: int | None = None
    keys: list[str] = field(default_factory=list)
    keeps_sessions: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    expects: str = "answer"
    timeout_s: float = 60.0


@dataclass
class Outcome:
    """`latencies_ms` of the right answers in order of their ends; `errors` by kind; `nonces` of the right answers."""

    latencies_ms: list[float] = field(default_factory=list)
    nonces: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    wall_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def right(self) -> int:
        return len(self.latencies_ms)

    @property
    def wrong(self) -> int:
        return sum(self.errors.values())

    @property
    def per_s(self) -> float:
        return self.right / self.wall_s if self.wall_s else 0.0


class Run:
    """One job under way."""

    def __init__(self, job: Job, http: aiohttp.ClientSession) -> None:
        self.job = job
        self.http = http
        self.outcome = Outcome()
        self._keys = iter(job.keys)
        self._left: Iterator[int] = iter(range(job.count if job.count is not None else sys.maxsize))
        self._sessions: dict[str, str] = {}

    async def run(self) -> Outcome:
        started_at = time.perf_counter()
        self._ends_at = started_at + (self.job.seconds if self.job.seconds is not None else 3600)
        await asyncio.gather(*(self._client() for _ in range(self.job.clients)))
        self.outcome.wall_s = time.perf_counter() - started_at
        self.outcome.cpu_s = time.process_time()
        return self.outcome

    async def _client(self) -> None:
        while time.perf_counter() < self._ends_at and next(self._left, None) is not None:
            key = next(self._keys, None)
            if key is None and self.job.keys:
                self.outcome.errors["out of keys"] += 1
                return
            await self._ask(key)

    async def _ask(self, key: str | None) -> None:
        nonce = f"nonce-{uuid.uuid4().hex}"
        headers = self.job.headers | ({"Authorization": f"Bearer {key}"} if key else {})
        body: dict[str, Any] = {"content": f"Hello, please repeat the word {nonce}"}
        if key in self._sessions:
            body["session_id"] = self._sessions[key]
        started_at = time.perf_counter()
        try:
            async with self.http.post(self.job.url, json=body, headers=headers) as reply:
                text = await reply.text()
        except (TimeoutError, aiohttp.ClientError) as exc:
            self.outcome.errors[type(exc).__name__] += 1
            return
        took_ms = (time.perf_counter() - started_at) * 1000
        fault = self._fault(reply.status, text, nonce)
        if fault:
            self.outcome.errors[fault] += 1
            return
        self.outcome.latencies_ms.append(took_ms)
        self.outcome.nonces.append(nonce)
        if self.job.keeps_sessions and key is not None and key not in self._sessions:
            self._sessions[key] = json.loads(text)["session_id"]

    def _fault(self, status: int, text: str, nonce: str) -> str:
        if self.job.expects == "accepted":
            return "" if status == 202 else f"status {status}"
        if status != 200:
            return f"status {status}"
        return "" if f"{PREFIX} {nonce}" in text else "wrong answer"


async def perform(job: Job) -> Outcome:
    timeout = aiohttp.ClientTimeout(total=job.timeout_s)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        return await Run(job, http).run()


def run_job(job: Job, *, within_s: float = 180.0) -> Outcome:
    """Perform a job in a process of its own. Raises subprocess.TimeoutExpired, CalledProcessError."""
    command = [sys.executable, "-m", "tests.load.generator"]
    done = subprocess.run(
        command, input=json.dumps(asdict(job)), capture_output=True, text=True, timeout=within_s, check=True
    )
    found = json.loads(done.stdout)
    return Outcome(**(found | {"errors": Counter(found["errors"])}))


def main() -> None:
    job = Job(**json.load(sys.stdin))
    json.dump(asdict(uvloop.run(perform(job))), sys.stdout)


if __name__ == "__main__":
    main()
