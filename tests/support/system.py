"""What end-to-end tests do to the product and see of it; `running_system.py` builds it."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import yaml
from fastapi import FastAPI
from local_stack.servicenow.app import Standin
from local_stack.servicenow.faults import Fault
from local_stack.servicenow.people import Person, shipped_people
from local_stack.servicenow.tickets import Ticket
from local_stack.sms.standin import SmsStandin
from servicenow_mcp.rules import shipped_rules
from shared_clients.stream import ServerSentEvent, read_events
from shared_models.enums import RequestStatus
from shared_models.schemas import Citation, Confirmation, RequestResult

from tests.support.database import superuser
from tests.support.ingress import Ingress
from tests.support.mail import MailServerUnderTest
from tests.support.model import ModelServer
from tests.support.people import api_key_of
from tests.support.slack import SlackWorld
from tests.support.waiting import eventually
from tests.support.webhook import WebhookReceiver

REPOSITORY = Path(__file__).resolve().parents[2]

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
class System:
    """What tests do to the product and see of it."""

    url: str
    database_url: str
    http: httpx.AsyncClient
    model: ModelServer
    standin: Standin
    webhook: WebhookReceiver
    mail: MailServerUnderTest
    sms: SmsStandin
    webhook_url: str
    tool_server: AsyncExitStack
    apps: dict[str, FastAPI]
    urls: dict[str, str]
    service_token_key: str = field(repr=False)
    ingress: Ingress
    slack: SlackWorld
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
        reply = await self.post(person, body, headers={"prefer": "wait=100"})
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
        return await self.http.request(method, self.url + path, headers=sent, timeout=150, **given)

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

    async def idle(self) -> None:
        """Until neither a queue nor the broker has anything left to do.

        What one of them hands to the other must not be missed: the broker is idle before and after the look at the queues."""
        async with superuser(self.database_url) as connection:

            async def is_idle() -> bool:
                taken, was_idle = self.ingress.count, self.ingress.is_idle
                is_empty = await connection.fetchval("select count(*) = 0 from work_items where dead_at is null")
                return bool(is_empty and was_idle and self.ingress.is_idle and taken == self.ingress.count)

            await eventually(is_idle)

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

    async def use_phone(self, person: str, phone: str) -> None:
        """Make SMS to this phone the person's first choice, proven by the code that comes to it."""
        path = "/api/v1/users/me/integrations/sms"
        body = {"enabled": True, "priority": 1, "config": {"phone": phone}, "retry_delay_seconds": 0}
        reply = await self.request("PUT", person, path, json=body)
        assert reply.status_code == 200, reply.text
        [sms] = self.sms.to(phone)
        proven = await self.request("POST", person, f"{path}/verify", json={"code": sms.body.partition(" ")[0]})
        assert proven.status_code == 200, proven.text

    async def test_messages(self, person: str) -> list[Json]:
        reply = await self.get(person, "/api/v1/users/me/test-messages")
        assert reply.status_code == 200, reply.text
        items: list[Json] = reply.json()["items"]
        return items
