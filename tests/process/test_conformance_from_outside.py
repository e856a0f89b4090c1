"""The conformance suite pointed at a broker and a receiver by their URLs alone, as docs/conformance.md says."""

import asyncio
import os
import sys
from pathlib import Path

import httpx
from integration_dispatcher.app import create_app
from shared_models.enums import ServiceName
from shared_models.tokens import ServiceTokens

from tests.support import dispatcher
from tests.support.broker import KEY, PATH, broker, running_receiver
from tests.support.broker_process import broker_process
from tests.support.servers import free_socket, serving

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600


async def run_suite(*arguments: str, **env: str) -> str:
    """What pytest says, as if somebody had typed it. Raises AssertionError when a case fails."""
    by_hand = {name: value for name, value in os.environ.items() if name != "CI"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments),
        cwd=REPOSITORY,
        env=by_hand | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), timeout=TIMEOUT_S)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_any_broker_can_be_tested_by_its_url(empty_database_url: str, tmp_path: Path) -> None:
    token = ServiceTokens(KEY, ServiceName.AGENT_SERVICE).make(ServiceName.BROKER)
    async with (
        running_receiver() as receiver,
        broker_process(empty_database_url, tmp_path, [broker()], receiver) as running,
    ):
        output = await run_suite(
            "tests/conformance", "-k", "test_broker", BROKER_URL=running.url + PATH, BROKER_TOKEN=token
        )
    assert "10 passed" in output
    assert "skipped" not in output


async def test_any_receiver_can_be_tested_by_its_url(database_url: str) -> None:
    sock, url = free_socket()
    transport = httpx.MockTransport(dispatcher.Sink().take)
    async with (
        httpx.AsyncClient(transport=transport) as outside,
        serving(create_app(dispatcher.settings(database_url), http=outside), sock),
    ):
        output = await run_suite(
            "tests/conformance/test_receivers.py",
            RECEIVER_URL=url + "/events",
            RECEIVER_SERVICE="integration-dispatcher",
            RECEIVER_TOKEN=ServiceTokens(dispatcher.TOKEN_KEY, ServiceName.BROKER).make(
                ServiceName.INTEGRATION_DISPATCHER
            ),
        )
    assert "7 passed" in output
