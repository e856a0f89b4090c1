"""The MCP server's own HTTP client against the stand-in on a real socket; and the doctor as the program it is."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from local_stack.ports import free_port
from local_stack.servicenow.app import Standin, create_app
from local_stack.servicenow.faults import Fault
from servicenow_mcp.app import create_backend, create_http
from servicenow_mcp.desk import Desk
from servicenow_mcp.errors import BrokenOff, Down, NotAuthenticated, TimedOut
from servicenow_mcp.orders import OrderBook
from servicenow_mcp.rules import shipped_rules
from shared_models.tokens import Identity, new_identity_key_pair

from tests.support.servers import free_socket, serving
from tests.support.servicenow import API_KEY, Clock, mcp_settings, standin_settings

_, PUBLIC_KEY = new_identity_key_pair()
CODE = "apple_mac_book_air_m_2"


@dataclass
class Wire:
    standin: Standin
    url: str
    desk: Desk

    def caller(self, intent: str = "") -> Identity:
        return Identity(uuid4(), "alice@example.com", "Alice", uuid4(), "open_laptop_refresh_ticket", intent)


@asynccontextmanager
async def wire(folder: Path, *, timeout_s: float = 30.0, url: str = "") -> AsyncIterator[Wire]:
    clock = Clock()
    standin = Standin(folder, standin_settings(), clock.now)
    sock, own_url = free_socket()
    settings = mcp_settings(standin, PUBLIC_KEY, servicenow_instance_url=url or own_url, servicenow_timeout=timeout_s)
    async with serving(create_app(standin), sock), create_http() as http:
        backend = create_backend(settings, http, pause_s=0.01)
        yield Wire(standin, own_url, Desk(backend, OrderBook(backend, 0.01), shipped_rules(), clock.today))


async def test_a_timeout_after_the_effect_finds_the_ticket(tmp_path: Path) -> None:
    async with wire(tmp_path, timeout_s=3.0) as it:
        it.standin.faults.add(Fault(path="order_now", silent=True, after_effect=True))
        made = await it.desk.open_ticket(it.caller("yes-1"), CODE, "", None)
        again = await it.desk.open_ticket(it.caller("yes-1"), CODE, "", None)
        assert made == again
        assert made.ticket_number == it.standin.tickets.tickets[-1].number
        assert len(it.standin.tickets.tickets) == 2


async def test_silence_is_a_timeout_and_a_closed_port_is_down(tmp_path: Path) -> None:
    async with wire(tmp_path / "one", timeout_s=0.2) as it:
        it.standin.faults.add(Fault(silent=True, times=-1))
        with pytest.raises(TimedOut):
            await it.desk.laptops(it.caller())
    async with wire(tmp_path / "two", url=f"http://127.0.0.1:{free_port()}") as it:
        with pytest.raises(Down) as caught:
            await it.desk.laptops(it.caller())
        assert not isinstance(caught.value, BrokenOff)


async def test_a_connection_that_is_cut_off_in_an_order_leaves_it_open_whether_it_acted(tmp_path: Path) -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, wire(tmp_path, url=url) as it:
        with pytest.raises(BrokenOff) as caught:
            await it.desk.backend.rest.write("POST", "/x", {})
        assert caught.value.effect == "unknown"


async def test_faults_are_scripted_over_http_with_the_control_token_only(tmp_path: Path) -> None:
    async with wire(tmp_path) as it, httpx.AsyncClient(base_url=it.url, timeout=60) as http:
        fault = {"status": 401, "times": -1}
        assert (await http.post("/_standin/faults", json=fault)).status_code == 404
        token = {"x-control-token": "a-control-token"}
        assert (await http.post("/_standin/faults", json=fault, headers=token)).status_code == 204
        with pytest.raises(NotAuthenticated):
            await it.desk.laptops(it.caller())
        assert (await http.delete("/_standin/faults", headers=token)).status_code == 204
        assert (await it.desk.laptops(it.caller())).laptops


async def test_the_doctor_prints_its_checks_as_json(tmp_path: Path) -> None:
    async with wire(tmp_path) as it:
        good = await doctor({"SERVICENOW_INSTANCE_URL": it.url, "SERVICENOW_API_KEY": API_KEY}, it)
        bad = await doctor({"SERVICENOW_INSTANCE_URL": it.url, "SERVICENOW_API_KEY": "a-wrong-key"}, it)
        none = await doctor({}, it)
    assert (good[0], good[1]["ok"]) == (0, True)
    assert (bad[0], bad[1]["checks"][0]["name"]) == (1, "sign-in")
    assert (none[0], none[1]["checks"][0]["name"]) == (1, "settings")
    assert "SERVICENOW_INSTANCE_URL" in none[1]["checks"][0]["detail"]


async def doctor(environment: dict[str, str], it: Wire) -> tuple[int | None, dict[str, Any]]:
    given = {"PATH": os.environ["PATH"], "SERVICENOW_LAPTOP_REFRESH_ID": it.standin.catalogue.item.sys_id}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "servicenow_mcp.doctor", env={**given, **environment}, stdout=PIPE
    )
    printed, _ = await process.communicate()
    return process.returncode, json.loads(printed)
