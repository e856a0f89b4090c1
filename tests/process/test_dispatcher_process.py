"""integration-dispatcher as a process of its own: configured by its environment, killed while it sends, asked to stop."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from local_stack.ports import free_port
from shared_models.ids import new_id
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.database import superuser
from tests.support.dispatcher import SECRETS_KEY, TOKEN_KEY, DispatcherClient, ended, wish
from tests.support.servers import free_socket, serving
from tests.support.waiting import eventually


@dataclass
class SlowReceiver:
    """Proves itself, and answers nothing else until it is told to. `ids` are the webhook ids of all messages."""

    ids: deque[str] = field(default_factory=deque)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, request: Request) -> Response:
        body = await request.json()
        if body["type"] == "webhook.verify":
            return JSONResponse({"challenge": body["data"]["challenge"]})
        self.ids.append(request.headers["webhook-id"])
        await self.go_on.wait()
        return Response(status_code=204)


@pytest.fixture
async def slow() -> AsyncIterator[tuple[SlowReceiver, str]]:
    sock, url = free_socket()
    receiver = SlowReceiver()
    app = Starlette(routes=[Route("/", receiver.receive, methods=["POST"])])
    async with serving(app, sock):
        yield receiver, url + "/"
        receiver.go_on.set()


@dataclass
class Process(DispatcherClient):
    process: asyncio.subprocess.Process


@asynccontextmanager
async def process_of(database_url: str, log: Path, more: dict[str, str] | None = None) -> AsyncIterator[Process]:
    """`more`: environment variables besides the usual ones."""
    port = free_port()
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
        "PROFILE": "local",
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "DATABASE_ROLE": "ssa_integration_dispatcher",
        "SERVICE_TOKEN_KEY": TOKEN_KEY,
        "SECRETS_KEY": SECRETS_KEY,
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "INTEGRATION_DEFAULTS_WEBHOOK_RETRY_DELAY_SECONDS": "0",
        "EVENT_SINK_URL": f"http://127.0.0.1:{free_port()}/events",
        "LOG_LEVEL": "INFO",
        **(more or {}),
    }
    with log.open("ab") as output:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "integration_dispatcher", env=env, stdout=output, stderr=output
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:

            async def is_ready() -> bool:
                assert child.returncode is None, f"it ended; see {log}"
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(is_ready)
            yield Process(http, child)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def test_a_process_killed_while_it_sends_is_followed_by_one_that_sends_again_with_the_same_id(
    database_url: str, slow: tuple[SlowReceiver, str], tmp_path: Path
) -> None:
    user = new_id()
    receiver, url = slow
    async with process_of(database_url, tmp_path / "log") as first:
        await first.set_webhook(user, url)
        await first.plan(ended(user, wish("webhook")))

        async def is_sending() -> bool:
            return len(receiver.ids) == 1

        await eventually(is_sending)
        first.process.kill()
        await first.process.wait()
    receiver.go_on.set()
    async with process_of(database_url, tmp_path / "log") as second:

        async def is_delivered() -> bool:
            return await second.statuses(user) == {"webhook": "delivered"}

        await eventually(is_delivered)
        [delivery] = await second.deliveries(user)
        attempts = await second.attempts(delivery["delivery_id"], user)
    assert [attempt["outcome"] for attempt in attempts] == ["interrupted", "delivered"]
    assert list(receiver.ids) == [delivery["delivery_id"]] * 2


async def test_sigterm_lets_a_message_under_way_arrive_and_leaves_no_lease(
    database_url: str, slow: tuple[SlowReceiver, str], tmp_path: Path
) -> None:
    user = new_id()
    receiver, url = slow
    async with process_of(database_url, tmp_path / "log") as dispatcher:
        await dispatcher.set_webhook(user, url)
        await dispatcher.plan(ended(user, wish("webhook")))

        async def is_sending() -> bool:
            return len(receiver.ids) == 1

        await eventually(is_sending)
        dispatcher.process.send_signal(signal.SIGTERM)

        async def refuses_new() -> bool:
            try:
                await dispatcher.http.get("/livez")
            except httpx.TransportError:
                return True
            return False

        await eventually(refuses_new)
        receiver.go_on.set()
        # uvicorn ends by the signal it was sent, after the orderly stop.
        assert await asyncio.wait_for(dispatcher.process.wait(), timeout=300) in (0, -signal.SIGTERM)
    async with superuser(database_url) as connection:
        assert await connection.fetchval("select status from delivery_logs") == "delivered"
        assert await connection.fetchval("select count(*) from delivery_attempts") == 1
        assert await connection.fetchval("select count(*) from workers") == 0
        assert await connection.fetchval("select count(*) from work_items where leased_by is not null") == 0
    assert len(receiver.ids) == 1
    assert "laptop ships" not in (tmp_path / "log").read_text()
