"""Every route of the three services, called by every caller. A route that stands in no table fails the test."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from shared_models.enums import Role, ServiceName
from shared_models.schemas import EndRun, ErrorInfo, NormalizedRequest
from shared_models.tokens import Acting, ServiceTokens

from tests.support.database import superuser
from tests.support.people import api_key_of
from tests.support.route_table import CALLERS, DOCUMENTS, Row, is_expected, routes_of, signed_by_provider
from tests.support.system import System

PEOPLE = "own other operator administrator"
LETTERS = "/api/v1/dead-letters"
OPERATORS = Row("operator administrator")
SERVICE = Row("service")
INNER_LETTERS = {
    f"GET {LETTERS}": SERVICE,
    f"GET {LETTERS}/{{letter_id}}": SERVICE,
    f"POST {LETTERS}/{{letter_id}}/replay": SERVICE,
    f"DELETE {LETTERS}/{{letter_id}}": SERVICE,
}
DIE = """
insert into work_items (queue, ref, payload, dead_at, last_error) values ($1 || '.tests', '', '{}', now(), 'for a test')
returning $1 || ':' || id
"""
ASK = {"content": "hello"}
SLACK = {"user_id": "{user_id}", "channel_id": "C1", "slack_user_id": "U1", "slack_team_id": "T1"}
MAIL = {"user_id": "{user_id}", "email_from": "own@example.com", "message_id": "<1@example.com>"}
RESOLVE = {"integration": "slack", "external_id": "T1:U1", "email": "own@example.com"}
VERIFIED = {"type": "url_verification", "challenge": "a word"}
HEALTH = {f"GET /{path}": Row("nobody") for path in ("livez", "readyz", "health")}

REQUEST_MANAGER = HEALTH | {
    "POST /api/v1/requests/web": Row(PEOPLE, ASK),
    "POST /api/v1/requests/cli": Row(PEOPLE, ASK),
    "POST /api/v1/requests/generic": Row(PEOPLE, ASK),
    "POST /api/v1/requests/tool": Row("tool", ASK | {"user_id": "{user_id}", "tool_id": "hr"}),
    "POST /api/v1/requests/slack": Row("service", ASK | SLACK),
    "POST /api/v1/requests/email": Row("service", ASK | MAIL),
    "GET /api/v1/requests": Row(PEOPLE),
    "GET /api/v1/requests/{request_id}": Row("own operator administrator tool", own_objects=True),
    "GET /api/v1/requests/{request_id}/status": Row("own operator administrator tool", own_objects=True),
    "GET /api/v1/requests/{request_id}/result": Row("own tool", own_objects=True),
    "GET /api/v1/requests/{request_id}/events": Row("own tool", own_objects=True),
    "POST /api/v1/requests/{request_id}/cancel": Row("own operator administrator tool", own_objects=True),
    "POST /api/v1/requests/{request_id}/retry": Row("own tool", own_objects=True),
    "POST /api/v1/requests/{request_id}/feedback": Row("own", {"rating": "up"}, own_objects=True),
    "GET /api/v1/sessions": Row(PEOPLE),
    "GET /api/v1/sessions/{session_id}": Row("own", own_objects=True),
    "GET /api/v1/sessions/{session_id}/messages": Row("own", own_objects=True),
    "PATCH /api/v1/sessions/{session_id}": Row("own", {"title": "Mine"}, own_objects=True),
    "POST /api/v1/sessions/{session_id}/close": Row("own", own_objects=True),
    "GET /api/v1/agents": Row(PEOPLE),
    "GET /api/v1/knowledge-bases": Row(PEOPLE),
    "GET /api/v1/users/me": Row(PEOPLE),
    "POST /api/v1/users/resolve": Row("service", RESOLVE),
    "GET /api/v1/api-keys": Row(PEOPLE),
    "POST /api/v1/api-keys": Row(PEOPLE, {"name": "another"}),
    "DELETE /api/v1/api-keys/{key_id}": Row("own administrator", own_objects=True),
    "GET /api/v1/users/{user_id}/integrations": Row("own", own_objects=True),
    "GET /api/v1/users/{user_id}/integrations/{integration}": Row("own", own_objects=True),
    "PUT /api/v1/users/{user_id}/integrations/{integration}": Row(
        "own administrator", {"enabled": False}, own_objects=True
    ),
    "DELETE /api/v1/users/{user_id}/integrations/{integration}": Row("own", own_objects=True),
    "POST /api/v1/users/{user_id}/integrations/{integration}/verify": Row("own", {"code": "1"}, own_objects=True),
    "POST /api/v1/users/{user_id}/integrations/{integration}/verify/send": Row("own", own_objects=True),
    "GET /api/v1/users/{user_id}/integration-defaults": Row("own", own_objects=True),
    "POST /api/v1/users/{user_id}/integration-defaults/reset": Row("own", own_objects=True),
    "GET /api/v1/users/{user_id}/deliveries": Row("own operator administrator", own_objects=True),
    "GET /api/v1/users/{user_id}/test-messages": Row("own operator administrator", own_objects=True),
    "DELETE /api/v1/users/{user_id}/test-messages": Row("own operator administrator", own_objects=True),
    "GET /api/v1/deliveries/{delivery_id}": Row("own operator administrator", own_objects=True),
    "GET /api/v1/deliveries/{delivery_id}/attempts": Row("own operator administrator", own_objects=True),
    "POST /api/v1/deliveries/{delivery_id}/replay": Row("own operator administrator", own_objects=True),
    "GET /api/v1/integration-defaults": Row(PEOPLE),
    "GET /api/v1/integration-defaults/{integration}": Row(PEOPLE),
    "PUT /api/v1/integration-defaults/{integration}": Row("administrator", {"enabled": True}),
    "DELETE /api/v1/integration-defaults/{integration}": Row("administrator"),
    "GET /api/v1/integration-health": OPERATORS,
    "POST /api/v1/integration-health/{integration}/resume": OPERATORS,
    "POST /events": Row("service broker", {}),
    "POST /dead-letters": Row("broker", {}),
    f"GET {LETTERS}": OPERATORS,
    f"GET {LETTERS}/{{letter_id}}": OPERATORS,
    f"POST {LETTERS}/{{letter_id}}/replay": OPERATORS,
    f"POST {LETTERS}/replay": Row("operator administrator", {"queue": "nothing.here"}),
    f"DELETE {LETTERS}/{{letter_id}}": OPERATORS,
}

# Only request-manager calls the other two: for itself (service), or for a person, who sees their own alone.
AGENT_SERVICE = (
    INNER_LETTERS
    | HEALTH
    | {
        "POST /api/v1/answers": Row("service", {"$": "request"}),
        "GET /api/v1/runs/{request_id}": Row("service", own_objects=True),
        "POST /api/v1/runs/{request_id}/end": Row("service", {"$": "end"}, own_objects=True),
        "GET /api/v1/runs/{request_id}/events": Row("service", own_objects=True),
        "GET /api/v1/sessions": Row("service", own_objects=True),
        "GET /api/v1/sessions/{session_id}": Row("service", own_objects=True),
        "GET /api/v1/sessions/{session_id}/messages": Row("service", own_objects=True),
        "PATCH /api/v1/sessions/{session_id}": Row("service", {"title": "Mine"}, own_objects=True),
        "POST /api/v1/sessions/{session_id}/close": Row("service", own_objects=True),
        "GET /api/v1/agents": Row("service"),
        "GET /api/v1/knowledge-bases": Row("service"),
        "POST /events": Row("service broker", {}),
    }
)

OWN = Row("own", own_objects=True)
WATCHED = Row("own operator administrator", own_objects=True)
INTEGRATION_DISPATCHER = (
    INNER_LETTERS
    | HEALTH
    | {
        "POST /api/v1/deliveries": Row("service", {}),
        "POST /slack/events": Row("provider", VERIFIED),
        "POST /slack/commands": Row("provider", VERIFIED),
        "POST /slack/interactive": Row("provider", VERIFIED),
        "GET /email/verify/{token}": Row("nobody"),
        "POST /email/verify/{token}": Row("nobody"),
        "GET /email/unsubscribe/{token}": Row("nobody"),
        "POST /email/unsubscribe/{token}": Row("nobody"),
        "POST /events": Row("service broker", {}),
        "GET /api/v1/deliveries/{delivery_id}": WATCHED,
        "GET /api/v1/deliveries/{delivery_id}/attempts": WATCHED,
        "POST /api/v1/deliveries/{delivery_id}/replay": WATCHED,
        "GET /api/v1/users/{user_id}/deliveries": WATCHED,
        "GET /api/v1/users/{user_id}/test-messages": WATCHED,
        "DELETE /api/v1/users/{user_id}/test-messages": WATCHED,
        "GET /api/v1/users/{user_id}/integrations": OWN,
        "GET /api/v1/users/{user_id}/integrations/{integration}": OWN,
        "PUT /api/v1/users/{user_id}/integrations/{integration}": Row(
            "own administrator", {"enabled": False}, own_objects=True
        ),
        "DELETE /api/v1/users/{user_id}/integrations/{integration}": OWN,
        "POST /api/v1/users/{user_id}/integrations/{integration}/verify": Row("own", {"code": "1"}, own_objects=True),
        "POST /api/v1/users/{user_id}/integrations/{integration}/verify/send": OWN,
        "GET /api/v1/users/{user_id}/integration-defaults": OWN,
        "POST /api/v1/users/{user_id}/integration-defaults/reset": OWN,
        "GET /api/v1/integration-defaults": Row(PEOPLE),
        "GET /api/v1/integration-defaults/{integration}": Row(PEOPLE),
        "PUT /api/v1/integration-defaults/{integration}": Row("administrator", {"enabled": True}),
        "DELETE /api/v1/integration-defaults/{integration}": Row("administrator"),
        "GET /api/v1/integration-health": OPERATORS,
        "POST /api/v1/integration-health/{integration}/resume": OPERATORS,
        "POST /sms/status": Row("provider"),
        "POST /sms/inbound": Row("provider"),
    }
)

TABLES = {
    "request_manager": REQUEST_MANAGER,
    "agent_service": AGENT_SERVICE,
    "integration_dispatcher": INTEGRATION_DISPATCHER,
}
ROLES = {"own": Role.USER, "other": Role.USER, "operator": Role.OPERATOR, "administrator": Role.ADMINISTRATOR}
SERVICES = {name: ServiceName(name.replace("_", "-")) for name in TABLES}


@dataclass(frozen=True)
class World:
    """`headers`: what each caller sends to each service. `objects`: the ids in the addresses; a tool has a request of its own."""

    headers: dict[str, dict[str, dict[str, str]]]
    objects: dict[str, str]
    tools_request: str
    bodies: dict[str, Any]


async def test_every_route_lets_in_whom_the_table_names_and_nobody_else(system: System) -> None:
    for service, table in TABLES.items():
        routes = routes_of(system.apps[service])
        declared = {name: set(callers) for name, callers in routes.items() if name not in DOCUMENTS}
        assert declared == {name: row.allowed for name, row in table.items()}
        assert set().union(*declared.values()) <= set(CALLERS)
    world = await populate(system)
    wrong = [line for service in TABLES for line in await refusals_that_differ(system, world, service)]
    assert wrong == []


async def refusals_that_differ(system: System, world: World, service: str) -> list[str]:
    """Each call whose status is not what the table says."""
    await system.use_webhook("own")
    wrong = []
    for name, row in TABLES[service].items():
        for caller in reversed(CALLERS):
            if caller == "other" and not row.own_objects:
                continue  # any other person is a person like the first
            status = await call(system, world, service, name, row, caller)
            if not is_expected(_row_for(service, row), caller, status):
                wrong.append(f"{caller} {service} {name}: {status}")
    return wrong


def _row_for(service: str, row: Row) -> Row:
    """The other two know a person only as the one on whose behalf request-manager calls: that is the service calling."""
    if service == "request_manager" or "service" not in row.allowed:
        return row
    also = "own" if row.own_objects else PEOPLE
    return Row(f"{row.callers} {also}", row.body, row.own_objects)


async def call(system: System, world: World, service: str, name: str, row: Row, caller: str) -> int:
    method, _, template = name.partition(" ")
    objects = world.objects | ({"request_id": world.tools_request} if caller == "tool" else {})
    if "{letter_id}" in template:  # a new one for each call, as one that was replayed or discarded is gone
        objects["letter_id"] = await dead_letter(system, SERVICES[service])
    path = template.format(**objects)
    if (service, name) == ("agent_service", "GET /api/v1/sessions"):
        path += f"?user_id={objects['user_id']}"
    headers = {"prefer": "respond-async", **world.headers[service][caller]}
    body = None
    if row.body is not None:
        body = orjson.dumps(world.bodies[row.body["$"]] if "$" in row.body else row.body)
        body = body.replace(b"{user_id}", objects["user_id"].encode())
        headers["content-type"] = "application/json"
    url = system.urls[service] + path
    if caller == "provider":
        headers |= signed_by_provider(url, body or b"")
    reply = await system.http.request(method, url, headers=headers, content=body, timeout=30)
    return reply.status_code


async def dead_letter(system: System, service: ServiceName) -> str:
    async with superuser(system.database_url) as connection:
        return str(await connection.fetchval(DIE, service.value))


async def populate(system: System) -> World:
    """A person with one of everything, and the proof of every caller."""
    keys = {name: await api_key_of(system.database_url, name, role) for name, role in ROLES.items()}
    system._keys.update(keys)
    people = {name: (await system.get(name, "/api/v1/users/me")).json() for name in ROLES}
    own = people["own"]["user_id"]
    made = await system.request(
        "POST", "administrator", "/api/v1/api-keys", json={"name": "hr", "kind": "tool", "acts_for": [own]}
    )
    keys["tool"] = made.json()["api_key"]
    asked = await system.ask("own", "hello", deliver_to=["test"])
    body = {"content": "hello", "user_id": own, "tool_id": "hr"}
    tools = await system.http.post(
        system.url + "/api/v1/requests/tool", json=body, headers={"x-api-key": keys["tool"]}, timeout=60
    )
    await system.idle()
    deliveries = (await system.get("own", "/api/v1/users/me/deliveries")).json()["items"]
    own_key = await system.request("POST", "own", "/api/v1/api-keys", json={"name": "spare"})
    detail = (await system.get("own", f"/api/v1/requests/{asked.request_id}")).json()
    return World(
        headers=_headers(system, keys, people),
        objects={
            "request_id": str(asked.request_id),
            "session_id": str(asked.session),
            "user_id": own,
            "key_id": own_key.json()["key_id"],
            "delivery_id": next(item["delivery_id"] for item in deliveries if item["integration"] == "test"),
            "integration": "webhook",
            "token": "forged",
        },
        tools_request=tools.json()["request_id"],
        bodies=_bodies(detail, people["own"]),
    )


def _bodies(detail: dict[str, Any], person: dict[str, Any]) -> dict[str, Any]:
    known = {name: detail[name] for name in ("request_id", "session_id", "sequence", "integration_type", "created_at")}
    request = NormalizedRequest.model_validate(
        known
        | {
            "person": {name: person[name] for name in ("user_id", "email", "name")},
            "content": "hello",
            "conversation_key": "k",
            "deadline_at": detail["created_at"],
        }
    )
    end = EndRun(status="cancelled", error=ErrorInfo(code="cancelled", message="Cancelled."), request=request)
    return {"request": request.model_dump(mode="json"), "end": end.model_dump(mode="json")}


def _headers(
    system: System, keys: dict[str, str], people: dict[str, dict[str, str]]
) -> dict[str, dict[str, dict[str, str]]]:
    """People and tools are known to request-manager alone; the others hear of people from it."""
    manager = ServiceTokens(system.service_token_key, ServiceName.REQUEST_MANAGER)
    dispatcher = ServiceTokens(system.service_token_key, ServiceName.INTEGRATION_DISPATCHER)
    broker = ServiceTokens(system.service_token_key, ServiceName.BROKER)
    found: dict[str, dict[str, dict[str, str]]] = {}
    for name, service in SERVICES.items():
        tokens = {"tool": keys["tool"], "broker": broker.make(service)}
        for person, role in ROLES.items():
            who = people[person]
            roles = tuple(list(Role)[: list(Role).index(role) + 1])
            acting = Acting(UUID(who["user_id"]), who["email"], who["name"], roles)
            tokens[person] = keys[person] if name == "request_manager" else manager.make(service, acting)
        tokens["service"] = (dispatcher if name == "request_manager" else manager).make(service)
        found[name] = {caller: {"authorization": f"Bearer {token}"} for caller, token in tokens.items()}
        found[name] |= {"nobody": {}, "provider": {"webhook-signature": "v1,0"}}
    return found


async def test_a_key_of_a_person_opens_no_service_but_request_manager(system: System) -> None:
    key = await api_key_of(system.database_url, "root", Role.ADMINISTRATOR)
    for service in ("agent_service", "integration_dispatcher"):
        for name in [each for each, row in TABLES[service].items() if row.callers != "nobody"]:
            method, _, template = name.partition(" ")
            path = template.format_map(_AnyId())
            headers = {"authorization": f"Bearer {key}"}
            reply = await system.http.request(method, system.urls[service] + path, headers=headers, content=b"{}")
            assert reply.status_code == 401, name


class _AnyId(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "webhook" if name == "integration" else "0199b1c0-0000-7000-8000-000000000000"
