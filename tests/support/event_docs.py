"""Writes what is said about the events from the code: JSON schemas, the AsyncAPI document and the tables of `docs/events.md`.

`python -m tests.support.event_docs` writes the files; a test says when they are not what the code says."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from shared_models.enums import DeliveryStatus, IntegrationType, RequestStatus, ServiceName
from shared_models.event_data import KINDS
from shared_models.events import (
    TYPE_PREFIX,
    CloudEvent,
    EventBuilder,
    EventType,
    dataschema_of,
)
from shared_models.schemas import (
    AgentRef,
    AgentResponse,
    DeliveryReport,
    DeliveryWish,
    NormalizedRequest,
    Person,
    RequestProcessing,
    ResponseContent,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
PARTS = ("types", "attributes", "examples")
AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

SUMMARIES = {
    EventType.REQUEST_CREATED: "A request was accepted and waits for an agent.",
    EventType.REQUEST_PROCESSING: "An agent has been at work for more than two seconds.",
    EventType.RESPONSE_READY: "A request has reached its end: with an answer, or with the reason why there is none.",
    EventType.DELIVERY_SUCCEEDED: "An answer has reached the person by one integration.",
    EventType.DELIVERY_FAILED: "One integration could not deliver an answer, or not in time.",
}
ATTRIBUTES = {
    "id": "the request or delivery, and what became of it; the same when it is sent again: receivers dedupe by `source` and `id`",
    "source": "the service that sends it",
    "type": "one of the types above",
    "specversion": "`1.0`",
    "subject": "`request/<request id>`",
    "time": "when it was built; RFC 3339, UTC",
    "dataschema": "the versioned address of the schema of its data",
    "datacontenttype": "`application/json`",
    "requestid": "the request",
    "sessionid": "its session",
    "userid": "the person whose request it is",
    "integrationtype": "where the request came from; of a delivery: by what it was delivered",
    "partitionkey": "the session: a broker keeps the order of one key",
    "sequence": "the request's position in its session, from 1 (`request.created`, `response.ready`)",
    "wantsdelivery": "`true` when the answer is to be delivered somewhere, else `false`: integration-dispatcher hears of those alone"
    " (`request.processing`, `response.ready`)",
    "traceparent": "the trace that it belongs to, if there is one (W3C Trace Context)",
}
OPTIONAL = ("sequence", "wantsdelivery", "traceparent")

type Json = dict[str, Any]


def short(kind: EventType) -> str:
    return kind.value.removeprefix(TYPE_PREFIX)


def camel(kind: EventType) -> str:
    first, *rest = re.split(r"[.-]", short(kind))
    return first + "".join(word.capitalize() for word in rest)


def examples() -> dict[EventType, CloudEvent]:
    """One event of each type, the same at each run."""
    person = Person(user_id=UUID(int=0xA), email="ana@example.com", name="Ana Quist")
    ids: Json = {"request_id": UUID(int=0x1), "session_id": UUID(int=0x2)}
    origin: Json = {"person": person, "integration_type": IntegrationType.WEB}
    delivery = DeliveryWish(mode="targets", targets=[IntegrationType.WEBHOOK])
    times: Json = {"created_at": AT, "deadline_at": AT + timedelta(hours=24)}
    agent = AgentRef(name="routing-agent", version="1")
    request = NormalizedRequest(
        **ids, **origin, **times, sequence=1, content="Where is my laptop?", conversation_key="web", delivery=delivery
    )
    answer = AgentResponse(
        **ids,
        **origin,
        **times,
        sequence=1,
        status=RequestStatus.COMPLETED,
        response=ResponseContent(content="It ships on Monday.", agent=agent),
        delivery=delivery,
        ended_at=AT + timedelta(seconds=4),
    )
    report: Json = ids | {"user_id": person.user_id, "delivery_id": UUID(int=0x3), "integration": "webhook"}
    manager, agents, dispatcher = (EventBuilder(name) for name in list(ServiceName)[:3])
    made = (
        manager.request_created(request, trace=TRACE),
        agents.request_processing(RequestProcessing(**ids, **origin, delivery=delivery, agent=agent), trace=TRACE),
        agents.response_ready(answer, trace=TRACE),
        dispatcher.delivery(DeliveryReport(**report, status=DeliveryStatus.DELIVERED), trace=TRACE),
        dispatcher.delivery(
            DeliveryReport(**report, status=DeliveryStatus.FAILED, reason="The receiver answers 410."), trace=TRACE
        ),
    )
    return {EventType(event.type): event.model_copy(update={"time": AT}) for event in made}


def schema_of(kind: EventType) -> Json:
    return {"$schema": DRAFT, "$id": dataschema_of(kind), **KINDS[kind].model.model_json_schema(mode="serialization")}


def schema_path(kind: EventType) -> str:
    return f"schemas/{short(kind)}/1.json"


def asyncapi() -> Json:
    """The AsyncAPI 3.0 document. Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Self-Service Agent: events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 between the services, carried by a Knative broker; see events.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "kafka-broker-ingress.knative-eventing.svc.cluster.local",
                "pathname": "/{namespace}/{broker}",
                "protocol": "http",
                "description": "A Knative broker: BROKER_URL, or K_SINK.",
                "variables": {
                    "namespace": {"default": "default"},
                    "broker": {"default": "self-service-agent"},
                },
            }
        },
        "channels": {camel(kind): _channel(kind) for kind in EventType},
        "operations": dict(
            operation
            for kind in EventType
            for action, services in (("send", KINDS[kind].senders), ("receive", KINDS[kind].takers))
            for operation in (_operation(kind, action, service) for service in services)
        ),
        "components": {
            "messages": {camel(kind): _message(kind) for kind in EventType},
            "schemas": {"attributes": _headers()},
        },
    }


def _channel(kind: EventType) -> Json:
    return {
        "address": kind.value,
        "title": short(kind),
        "description": f"The events that a Trigger picks by type {kind.value}.",
        "servers": [{"$ref": "#/servers/broker"}],
        "messages": {camel(kind): {"$ref": f"#/components/messages/{camel(kind)}"}},
    }


def _operation(kind: EventType, action: str, service: ServiceName) -> tuple[str, Json]:
    verb = "sends" if action == "send" else "takes"
    return f"{service.value}.{verb}.{short(kind)}", {
        "action": action,
        "channel": {"$ref": f"#/channels/{camel(kind)}"},
        "title": f"{service.value} {verb} {short(kind)}",
        "messages": [{"$ref": f"#/channels/{camel(kind)}/messages/{camel(kind)}"}],
        "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
    }


def _message(kind: EventType) -> Json:
    event = examples()[kind]
    headers, _ = event.to_binary()
    return {
        "name": kind.value,
        "title": short(kind),
        "summary": SUMMARIES[kind],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/attributes"},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{schema_path(kind)}"},
        },
        "examples": [{"name": short(kind), "headers": headers, "payload": event.data}],
    }


def _headers() -> Json:
    """The attributes as they stand in binary mode."""
    names = {name: "content-type" if name == "datacontenttype" else f"ce-{name}" for name in ATTRIBUTES}
    return {
        "type": "object",
        "required": [header for name, header in names.items() if name not in OPTIONAL],
        "properties": {
            header: {"type": "string", "minLength": 1, "description": ATTRIBUTES[name].replace("`", "")}
            for name, header in names.items()
        },
    }


def types_table() -> str:
    lines = ["| event | says | sent by | taken by | data |", "|---|---|---|---|---|"]
    for kind, about in KINDS.items():
        sent, taken = (", ".join(name.value for name in names) for names in (about.senders, about.takers))
        data = f"[`{about.model.__name__}`]({schema_path(kind)})"
        lines.append(f"| `{short(kind)}` | {SUMMARIES[kind]} | {sent} | {taken} | {data} |")
    return "\n".join(lines)


def attributes_table() -> str:
    lines = ["| attribute | what it says |", "|---|---|"]
    return "\n".join(lines + [f"| `{name}` | {text} |" for name, text in ATTRIBUTES.items()])


def examples_text() -> str:
    shown = []
    for kind, event in examples().items():
        told = json.dumps(json.loads(event.to_structured()), indent=2, ensure_ascii=False)
        shown.append(f"### {short(kind)}\n```json\n{told}\n```")
    return "\n\n".join(shown)


def events_page(page: str) -> str:
    """`docs/events.md` with its generated parts renewed. Raises ValueError when one has no place."""
    texts = dict(zip(PARTS, (types_table(), attributes_table(), examples_text()), strict=True))
    for name, text in texts.items():
        begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->"
        before, after = page.index(begin) + len(begin), page.index(end)
        page = page[:before] + text + page[after:]
    return page


def files() -> dict[Path, str]:
    """Each file with what should stand in it."""
    made = {DOCS / schema_path(kind): json.dumps(schema_of(kind), indent=2) + "\n" for kind in EventType}
    made[DOCS / "asyncapi.yaml"] = (
        "# Made by tests/support/event_docs.py: change the code, then run it.\n"
        + yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)
    )
    page = DOCS / "events.md"
    made[page] = events_page(page.read_text(encoding="utf-8"))
    return made


def main() -> None:
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(DOCS.parent)}: written")


if __name__ == "__main__":
    main()
