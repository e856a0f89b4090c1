"""The local broker as a process of its own, to be killed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml
from local_stack.ports import free_port
from shared_models.enums import ServiceName
from shared_models.tokens import ServiceTokens

from tests.support.broker import KEY, PATH, Json, Receiver, event_attributes
from tests.support.waiting import eventually


def broker_environment(database_url: str, manifests: Path, receiver_url: str) -> dict[str, str]:
    own = {
        "DATABASE_URL": database_url,
        "SERVICE_TOKEN_KEY": KEY,
        "BROKER_MANIFESTS": str(manifests),
        "BROKER_SUBSCRIBERS": f'{{"receiver": "{receiver_url}"}}',
        "BROKER_CONTROL": "true",
    }
    return {**os.environ, **own}


async def spawn_broker(env: dict[str, str], port: int, log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "local_stack.broker", "--port", str(port), env=env, stdout=output, stderr=output
        )


@dataclass
class BrokerProcess:
    """`taken`: ids of the events for which a 202 came, by partition key and in order."""

    env: dict[str, str] = field(repr=False)
    port: int
    log: Path
    http: httpx.AsyncClient
    process: asyncio.subprocess.Process | None = None
    taken: dict[str, list[str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def _auth(self) -> dict[str, str]:
        token = ServiceTokens(KEY, ServiceName.REQUEST_MANAGER).make(ServiceName.BROKER)
        return {"authorization": f"Bearer {token}"}

    async def start(self) -> None:
        self.process = await spawn_broker(self.env, self.port, self.log)
        await eventually(self._is_ready)

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def send(self, key: str, event_id: str) -> None:
        """Post until it is taken, as a relay would, one at a time."""

        async def is_taken() -> bool:
            status = await self.post(key, event_id)
            assert status in (0, 202, 503), status
            return status == 202

        await eventually(is_taken, every_s=0.05)
        self.taken.setdefault(key, []).append(event_id)

    async def post(self, key: str, event_id: str) -> int:
        """The status; 0 when there was no answer."""
        attributes = event_attributes(id=event_id, partitionkey=key)
        headers = {f"ce-{name}": value for name, value in attributes.items()} | self._auth
        try:
            return (await self.http.post(self.url + PATH, content=b"{}", headers=headers)).status_code
        except httpx.TransportError:
            return 0

    async def ready_status(self) -> int:
        return (await self.http.get(self.url + "/readyz")).status_code

    async def idle(self) -> None:
        async def is_idle() -> bool:
            reply = await self.http.get(self.url + "/control", headers=self._auth)
            return bool(reply.json()["is_idle"])

        await eventually(is_idle)

    async def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.log.read_text()
        try:
            return (await self.http.get(self.url + "/readyz")).status_code == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def broker_process(
    database_url: str, folder: Path, objects: Sequence[Json], receiver: Receiver
) -> AsyncIterator[BrokerProcess]:
    """A started broker; killed at the end."""
    manifests = folder / "manifests.yaml"
    manifests.write_text(yaml.safe_dump_all(list(objects)))
    env = broker_environment(database_url, manifests, receiver.url)
    async with httpx.AsyncClient(timeout=60) as http:
        broker = BrokerProcess(env, free_port(), folder / "broker.log", http)
        await broker.start()
        try:
            yield broker
        finally:
            await broker.kill()
