"""The whole product in one process: three services, MCP server, ServiceNow stand-in and a model, on real loopback ports.

`system` is a fixture with the mode as its parameter; no test names a mode."""

import asyncio
import base64
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import yaml
from agent_service.app import create_app as create_agent_service
from agent_service.settings import Settings as AgentServiceSettings
from fastapi import FastAPI
from integration_dispatcher.app import create_app as create_dispatcher
from integration_dispatcher.settings import Settings as DispatcherSettings
from local_stack.demo_rules.app import create_app as create_demo_rules
from local_stack.demo_rules.embeddings import Encode, Encoder, Vector, load_use
from local_stack.servicenow.app import Standin
from local_stack.servicenow.app import create_app as create_servicenow
from local_stack.servicenow.catalogue import shipped_catalogue
from local_stack.servicenow.faults import Fault
from local_stack.servicenow.people import Person, shipped_people
from local_stack.servicenow.settings import StandinSettings
from local_stack.servicenow.tickets import Ticket
from pydantic import SecretStr
from request_manager.app import create_app as create_request_manager
from request_manager.settings import RequestManagerSettings
from servicenow_mcp.app import create_app as create_servicenow_mcp
from servicenow_mcp.rules import shipped_rules
from servicenow_mcp.settings import Settings as ServiceNowMcpSettings
from shared_clients.http import create_http
from shared_clients.stream import ServerSentEvent, read_events
from shared_models.database import asyncpg_url
from shared_models.enums import RequestStatus
from shared_models.schemas import Citation, Confirmation, RequestResult
from shared_models.settings import Profile
from shared_models.tokens import new_identity_key_pair

from tests.support.model import ModelServer
from tests.support.people import api_key_of
from tests.support.servers import free_socket, serving
from tests.support.waiting import eventually
from tests.support.webhook import WebhookReceiver

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICENOW_KEY = "a-key-of-the-stand-in"
MODES = ("direct",)

type Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """An ended request as a test looks at it. `raw` is the whole body as text."""

    raw: str
    result: RequestResult

    @property
    def request_id(self) -> UUID:
        return self.result.request_id

    @property
    def session(self) -> UUID:
        return self.result.session_id

    @property
    def status(self) -> RequestStatus:
        return self.result.status

    @property
    def content(self) -> str:
        assert self.result.response is not None, self.raw
        return self.result.response.content

    @property
    def citations(self) -> list[Citation]:
        return self.result.response.citations if self.result.response else []

    @property
    def confirmation(self) -> Confirmation | None:
        return self.result.response.confirmation if self.result.response else None

    @property
    def error_message(self) -> str:
        assert self.result.error is not None, self.raw
        return self.result.error.message


@dataclass
class Part:
    """A program of the system and where it listens."""

    url: str
    sock: socket.socket


@dataclass
class System:
    """What tests do to the product and see of it."""

    url: str
    database_url: str
    http: httpx.AsyncClient
    model: ModelServer
    standin: Standin
    webhook: WebhookReceiver
    webhook_url: str
    tool_server: AsyncExitStack
    apps: dict[str, FastAPI]
    urls: dict[str, str]
    service_token_key: str = field(repr=False)
    _keys: dict[str, str] = field(default_factory=dict)
    _key_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    # --- asking

    async def ask(
        self, person: str, content: str, *, session: UUID | None = None, expect: str = "completed", **fields: Any
    ) -> Answer:
        """Post by the web entry and wait for the end. `expect`: the status it must come to, or `any`."""
        body: Json = {"content": content, **fields}
        if session is not None:
            body["session_id"] = str(session)
        reply = await self.post(person, body, headers={"prefer": "wait=60"})
        assert reply.status_code == 200, reply.text
        answer = Answer(reply.text, RequestResult.model_validate_json(reply.content))
        assert expect in ("any", answer.status), reply.text
        return answer

    async def post(
        self, person: str, body: Json, *, entry: str = "web", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self.request("POST", person, f"/api/v1/requests/{entry}", json=body, headers=headers)

    async def get(self, person: str, path: str) -> httpx.Response:
        return await self.request("GET", person, path)

    async def request(
        self, method: str, person: str, path: str, *, headers: dict[str, str] | None = None, **given: Any
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {await self.key_of(person)}", **(headers or {})}
        return await self.http.request(method, self.url + path, headers=sent, timeout=90, **given)

    async def read_events(
        self, person: str, path: str, *, until: str, last_event_id: str = ""
    ) -> list[ServerSentEvent]:
        """The events of a stream up to the first one named `until`, or to its end."""
        headers = {"authorization": f"Bearer {await self.key_of(person)}"}
        if last_event_id:
            headers["last-event-id"] = last_event_id
        events: list[ServerSentEvent] = []
        async with self.http.stream("GET", self.url + path, headers=headers, timeout=60) as reply:
            assert reply.status_code == 200
            async for event in read_events(reply):
                events.append(event)
                if event.event == until:
                    break
        return events

    async def key_of(self, person: str) -> str:
        async with self._key_lock:
            if person not in self._keys:
                self._keys[person] = await api_key_of(self.database_url, person)
        return self._keys[person]

    async def idle(self, *, within_s: float = 10.0) -> None:
        """Until no queue has anything left to do."""
        connection = await asyncpg.connect(asyncpg_url(self.database_url))
        try:

            async def is_idle() -> bool:
                return bool(await connection.fetchval("select count(*) = 0 from work_items where dead_at is null"))

            await eventually(is_idle, within_s=within_s)
        finally:
            await connection.close()

    # --- ServiceNow

    def person(self, name: str) -> Person:
        return next(person for person in self.standin.directory.people() if person.user_name == name)

    def person_of_region(self, region: str) -> str:
        offices = shipped_rules().offices
        return next(
            person.user_name
            for person in shipped_people()
            if person.active
            and len(person.laptops) == 1
            and offices.region_of(person.location, person.country) == region
        )

    def offers_of(self, region: str) -> list[str]:
        catalogue = shipped_rules().catalogue
        return [catalogue.laptops[offer.code].model for offer in catalogue.regions[region].offers]

    def tickets_of(self, name: str) -> list[Ticket]:
        sys_id = self.person(name).sys_id
        return [ticket for ticket in self.standin.tickets.tickets if ticket.requested_for == sys_id]

    def set_laptop(self, name: str, *, model: str, serial_number: str, purchase_date: date) -> None:
        self._change_laptop(
            name, {"model": model, "serial_number": serial_number, "purchase_date": purchase_date, "age": None}
        )

    def set_laptop_age(self, name: str, *, cycles: int, months: int) -> None:
        """The age is `cycles` of the policy and `months`."""
        self._change_laptop(name, {"purchase_date": None, "age": {"cycles": cycles, "months": months}})

    def _change_laptop(self, name: str, changes: Json) -> None:
        path = self.standin.directory.path
        content = yaml.safe_load(path.read_text())
        [person] = [each for each in content["people"] if each["user_name"] == name]
        person["laptops"] = [
            {key: value for key, value in {**person["laptops"][0], **changes}.items() if value is not None}
        ]
        path.write_text(yaml.safe_dump(content))

    def servicenow_tables_read(self) -> set[str]:
        lines = (self.standin.folder / "calls.jsonl").read_text().splitlines()
        return {json.loads(line)["path"].rsplit("/", 1)[-1] for line in lines}

    def servicenow_fails(self, status: int) -> None:
        self.standin.faults.add(Fault(status=status, times=-1))

    def servicenow_orders_then_fails(self) -> None:
        """The order takes effect, but its reply is lost."""
        self.standin.faults.add(Fault(path="order_now", method="POST", times=1, status=500, after_effect=True))

    async def stop_tool_server(self) -> None:
        await self.tool_server.aclose()

    # --- deliveries

    async def use_webhook(self, person: str) -> str:
        """Point the person's webhook at our receiver. Returns its signing secret."""
        body = {"enabled": True, "priority": 1, "config": {"url": self.webhook_url}, "retry_delay_seconds": 0}
        reply = await self.request("PUT", person, "/api/v1/users/me/integrations/webhook", json=body)
        assert reply.status_code == 200, reply.text
        return str(reply.json().get("secret", ""))

    async def test_messages(self, person: str) -> list[Json]:
        reply = await self.get(person, "/api/v1/users/me/test-messages")
        assert reply.status_code == 200, reply.text
        items: list[Json] = reply.json()["items"]
        return items


def _common(name: str, database_url: str, urls: dict[str, str], key: str) -> Json:
    return {
        "profile": Profile.LOCAL,
        "database_url": SecretStr(database_url),
        "database_role": f"ssa_{name}",
        "service_token_key": SecretStr(key),
        "request_manager_url": urls["request_manager"],
        "agent_service_url": urls["agent_service"],
        "integration_dispatcher_url": urls["integration_dispatcher"],
    }


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The real encoder, loaded once; it remembers each text, as every system reads the same documents."""

    def load() -> Encode:
        encode, known = load_use(), dict[str, Vector]()

        def remember(texts: list[str]) -> list[Vector]:
            new = [text for text in dict.fromkeys(texts) if text not in known]
            if new:
                known.update(zip(new, encode(new), strict=True))
            return [known[text] for text in texts]

        return remember

    return Encoder(load)


@pytest.fixture(params=MODES)
async def system(database_url: str, encoder: Encoder, tmp_path: Path) -> AsyncIterator[System]:
    async with running_system(database_url, encoder, tmp_path) as system:
        yield system


@asynccontextmanager
async def running_system(
    database_url: str, encoder: Encoder, folder: Path, **agent_service: Any
) -> AsyncIterator[System]:
    """The whole product on a migrated database. `agent_service`: settings of it that are to be others than usual."""
    parts = {
        name: Part(url, sock)
        for name in (
            "request_manager",
            "agent_service",
            "integration_dispatcher",
            "servicenow_mcp",
            "servicenow",
            "model",
            "embeddings",
            "webhook",
        )
        for sock, url in [free_socket()]
    }
    urls = {name: part.url for name, part in parts.items()}
    key = secrets.token_hex(32)
    signing_key, public_key = new_identity_key_pair()
    model, webhook = ModelServer(), WebhookReceiver()
    standin = Standin(folder / "servicenow", StandinSettings(api_key=SecretStr(SERVICENOW_KEY)))
    mcp_settings = ServiceNowMcpSettings(
        profile=Profile.LOCAL,
        servicenow_instance_url=urls["servicenow"],
        servicenow_api_key=SecretStr(SERVICENOW_KEY),
        servicenow_laptop_refresh_id=shipped_catalogue().item.sys_id,
        servicenow_timeout=2.0,
        identity_public_key=public_key,
    )
    usual = _common("agent_service", database_url, urls, key) | {
        "llama_stack_url": urls["model"],
        "embeddings_url": urls["embeddings"] + "/v1",
        "identity_signing_key": SecretStr(signing_key),
        "mcp_servers": {"servicenow": urls["servicenow_mcp"] + "/mcp"},
        "agents_dir": REPOSITORY / "agent-service" / "agents",
        "knowledge_dir": REPOSITORY / "agent-service" / "knowledge",
    }
    agent_settings = AgentServiceSettings(**(usual | agent_service))
    dispatcher_settings = DispatcherSettings(
        **_common("integration_dispatcher", database_url, urls, key),
        secrets_key=SecretStr(base64.b64encode(os.urandom(32)).decode()),
        webhook_allowed_networks="127.0.0.0/8",
        webhook_timeout_s=1.0,
    )
    manager_settings = RequestManagerSettings(**_common("request_manager", database_url, urls, key))
    async with AsyncExitStack() as stack:
        http = create_http()
        stack.push_async_callback(http.aclose)
        await stack.enter_async_context(serving(model.app(), parts["model"].sock))
        await stack.enter_async_context(serving(webhook.app(), parts["webhook"].sock))
        await stack.enter_async_context(serving(create_demo_rules(encoder), parts["embeddings"].sock))
        await stack.enter_async_context(serving(create_servicenow(standin), parts["servicenow"].sock))
        tool_server = await stack.enter_async_context(AsyncExitStack())
        mcp = create_servicenow_mcp(mcp_settings)
        await tool_server.enter_async_context(serving(mcp, parts["servicenow_mcp"].sock))
        apps = {
            "integration_dispatcher": create_dispatcher(dispatcher_settings),
            "agent_service": create_agent_service(agent_settings),
            "request_manager": create_request_manager(manager_settings),
        }
        for name, app in apps.items():
            await stack.enter_async_context(serving(app, parts[name].sock))
        system = System(
            url=urls["request_manager"],
            database_url=database_url,
            http=http,
            model=model,
            standin=standin,
            webhook=webhook,
            webhook_url=urls["webhook"] + "/hook",
            tool_server=tool_server,
            apps=apps,
            urls=urls,
            service_token_key=key,
        )
        await _ready(http, [urls[name] for name in ("request_manager", "agent_service", "integration_dispatcher")])
        yield system
        model.release()


async def _ready(http: httpx.AsyncClient, services: list[str]) -> None:
    async def all_ready() -> bool:
        replies = await asyncio.gather(*(http.get(url + "/readyz") for url in services))
        return all(reply.status_code == 200 for reply in replies)

    await eventually(all_ready, within_s=30)
