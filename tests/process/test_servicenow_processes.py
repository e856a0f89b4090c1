"""The stand-in and the MCP server as processes of their own, as `make up` starts them."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import httpx2
from local_stack.ports import free_port
from local_stack.servicenow.catalogue import shipped_catalogue
from local_stack.servicenow.tickets import TicketBook
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from shared_models.tokens import Identity, IdentitySigner, new_identity_key_pair

from tests.support.waiting import eventually

TOOL = "open_laptop_refresh_ticket"
CHOICE = {"laptop_code": "apple_mac_book_air_m_2"}
KEY = "a-key-of-the-tests"


@asynccontextmanager
async def running(module: str, port: int, environment: dict[str, str], *arguments: str) -> AsyncIterator[Process]:
    """Start a module and wait until it is ready; it must end with SIGTERM within its time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, env={"PATH": os.environ["PATH"], **environment}
    )
    try:
        async with httpx.AsyncClient(timeout=60) as http:

            async def is_ready() -> bool:
                assert process.returncode is None, f"{module} ended with {process.returncode}"
                try:
                    return (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(is_ready, every_s=0.1)
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 300)


def standin(port: int, folder: Path) -> Any:
    arguments = ("--port", str(port), "--state-dir", str(folder))
    return running("local_stack.servicenow", port, {"SERVICENOW_STANDIN_API_KEY": KEY}, *arguments)


async def order(port: int, signer: IdentitySigner) -> dict[str, Any]:
    identity = Identity(uuid4(), "alice@example.com", "Alice", uuid4(), TOOL, intent="yes-1")
    headers = {"authorization": f"Bearer {signer.sign(identity, server='servicenow')}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)) as client,
    ):
        result = await client.call_tool(TOOL, CHOICE)
        assert not result.is_error, result.content
        assert isinstance(result.structured_content, dict)
        return result.structured_content


async def test_a_ticket_survives_the_restart_of_both_and_is_ordered_once(tmp_path: Path) -> None:
    signing_key, public_key = new_identity_key_pair()
    signer = IdentitySigner(signing_key)
    standin_port, mcp_port = free_port(), free_port()
    environment = {
        "PROFILE": "local",
        "PORT": str(mcp_port),
        "SERVICENOW_INSTANCE_URL": f"http://127.0.0.1:{standin_port}",
        "SERVICENOW_API_KEY": KEY,
        "SERVICENOW_LAPTOP_REFRESH_ID": shipped_catalogue().item.sys_id,
        "IDENTITY_PUBLIC_KEY": public_key,
    }
    async with standin(standin_port, tmp_path), running("servicenow_mcp", mcp_port, environment) as server:
        made = await order(mcp_port, signer)
        server.kill()
    async with standin(standin_port, tmp_path), running("servicenow_mcp", mcp_port, environment):
        again = await order(mcp_port, signer)
    assert again == made
    own = [ticket for ticket in TicketBook(tmp_path).tickets if ticket.variables["correlation_id"] == "yes-1"]
    assert [ticket.number for ticket in own] == [made["ticket_number"]]


async def test_a_missing_setting_stops_the_start_and_is_named(tmp_path: Path) -> None:
    for module, arguments, named in (
        ("servicenow_mcp", (), "SERVICENOW_INSTANCE_URL"),
        ("local_stack.servicenow", ("--port", "0", "--state-dir", str(tmp_path)), "SERVICENOW_STANDIN_API_KEY"),
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            env={"PATH": os.environ["PATH"], "SERVICENOW_API_KEY": KEY},
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert process.returncode not in (0, None)
        assert named in said.decode()
        assert KEY not in said.decode()
        assert said.count(b"\n") == 1
