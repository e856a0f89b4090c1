"""What people and programs send by mistake or on purpose: told in plain words, nothing stored, never a 5xx."""

import json
from typing import Any

import httpx
import pytest

from tests.support.request_manager import Replica, Someone, service_headers

BAD_BODIES: dict[str, dict[str, Any]] = {
    "empty content": {"content": ""},
    "blank content": {"content": " \n\t\u2003"},
    "no content": {},
    "65,537 characters": {"content": "x" * 65_537},
    "content is a number": {"content": 7},
    "content is null": {"content": None},
    "NUL": {"content": "a\x00b"},
    "NUL in metadata": {"content": "x", "metadata": {"a": ["b\x00"]}},
    "NUL in a name": {"content": "x", "metadata": {"a\x00": 1}},
    "lone surrogate": {"content": "\ud800"},
    "lone surrogate in metadata": {"content": "x", "metadata": {"a": {"b": "\udfff"}}},
    "lone surrogate in a name": {"content": "x", "metadata": {"\udfff": 1}},
    "lone surrogate in an unknown field": {"content": "x", "\ud800": 1},
    "integer beyond 64 bits": {"content": "x", "metadata": {"a": 2**63}},
    "not a finite number": {"content": "x", "metadata": {"a": float("inf")}},
    "unknown field": {"content": "x", "user": "ben"},
    "a person's user_id": {"content": "x", "user_id": "0199b1c0-0000-7000-8000-000000000000"},
    "unknown integration": {"content": "x", "integration_type": "pigeon"},
    "integration without delivery": {"content": "x", "integration_type": "tool"},
    "unknown target": {"content": "x", "deliver_to": ["pigeon"]},
    "no target": {"content": "x", "deliver_to": []},
    "a target twice": {"content": "x", "deliver_to": ["email", "email"]},
    "preferred and another": {"content": "x", "deliver_to": ["preferred", "email"]},
    "two different wishes": {"content": "x", "deliver_to": ["email"], "integration_type": "webhook"},
    "session_id is no id": {"content": "x", "session_id": "1"},
    "request_type with spaces": {"content": "x", "request_type": "a b"},
    "confirm without a decision": {"content": "x", "confirm": {"id": "0199b1c0-0000-7000-8000-000000000000"}},
    "metadata is a list": {"content": "x", "metadata": []},
    "a list": {"content": ["x"]},
}


async def post(replica: Replica, someone: Someone, content: bytes, **headers: str) -> httpx.Response:
    sent = {"content-type": "application/json", **someone.headers, **headers}
    return await replica.client.post("/api/v1/requests/generic", content=content, headers=sent)


async def stored(replica: Replica) -> object:
    return await replica.parts.database.fetchval("select count(*) from request_logs")


BAD_BYTES: list[tuple[bytes, int]] = [
    (b"", 422),
    (b"{", 400),
    (b'{"content": "x"', 400),
    (b"\xff\xfe", 400),
    (b'{"content": "\xff"}', 400),
    (b'{"content": ' + b"[" * 100_000, 400),
    (b'{"content": "x", "metadata": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}", 422),
    (b'{"content": "x", "metadata": {"a": ' + b"9" * 10_000 + b"}}", 400),
    (b'{"content": "x", "metadata": {"a": 1e999}}', 422),
    (b"[]", 422),
    (b"null", 422),
    (b'"x"', 422),
]


async def test_a_body_that_breaks_a_rule_is_a_422_problem(replica: Replica, ana: Someone) -> None:
    for name, body in BAD_BODIES.items():
        reply = await post(replica, ana, json.dumps(body).encode())
        assert reply.status_code == 422, (name, reply.text)
        assert reply.headers["content-type"] == "application/problem+json", name
        assert reply.json()["code"] == "invalid_request", name
        assert reply.json()["request_id"], name
    assert await stored(replica) == 0


async def test_a_body_that_is_not_json_of_ours_is_refused(replica: Replica, ana: Someone) -> None:
    for content, status in BAD_BYTES:
        reply = await post(replica, ana, content)
        assert reply.status_code == status, (content[:60], reply.text)
        assert reply.headers["content-type"] == "application/problem+json"
    assert await stored(replica) == 0


@pytest.mark.parametrize("declared", [True, False])
async def test_ten_megabytes_are_refused(replica: Replica, ana: Someone, declared: bool) -> None:
    body = b'{"content": "' + b"x" * 10_000_000 + b'"}'

    async def chunks() -> Any:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    headers = {**ana.headers, "content-type": "application/json"}
    reply = await replica.client.post(
        "/api/v1/requests/generic", content=body if declared else chunks(), headers=headers
    )
    assert (reply.status_code, reply.json()["code"]) == (413, "payload_too_large")


async def test_the_longest_content_is_kept_to_the_letter(replica: Replica, ana: Someone) -> None:
    content = "  \U0001f4bb" + "\u00fc" * 65_530 + " \n\t"
    assert len(content) == 65_536
    reply = await replica.ask(ana, content)
    assert reply.status_code == 200
    detail = (await replica.get(ana, f"/api/v1/requests/{reply.json()['request_id']}")).json()
    assert detail["content"] == content


async def test_an_idempotency_key_that_breaks_the_rules_is_refused(replica: Replica, ana: Someone) -> None:
    headers = {b"content-type": b"application/json", b"authorization": ana.headers["authorization"].encode()}
    for key in (b"", b"x" * 256, b"a\tb", b"caf\xe9"):
        sent = headers | {b"idempotency-key": key}
        reply = await replica.client.post("/api/v1/requests/generic", content=b'{"content": "x"}', headers=sent)
        assert reply.status_code == 422, key
    assert await stored(replica) == 0


BAD_PATHS = [
    "/api/v1/requests?limit=0",
    "/api/v1/requests?limit=101",
    "/api/v1/requests?cursor=x",
    "/api/v1/requests?cursor=%00",
    "/api/v1/requests?status=lost",
    "/api/v1/requests/1",
    "/api/v1/requests/%00",
    "/api/v1/requests/0199b1c0-0000-7000-8000-000000000000/result?wait=121",
    "/api/v1/requests/0199b1c0-0000-7000-8000-000000000000/result?wait=-1",
    "/api/v1/api-keys?cursor=x",
    "/api/v1/users/1/integrations",
    "/api/v1/integration-defaults/pigeon",
]


async def test_parameters_that_break_a_rule_are_a_422(replica: Replica, ana: Someone) -> None:
    for path in BAD_PATHS:
        reply = await replica.client.get(path, headers=ana.headers)
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request"), (path, reply.text)


async def test_what_is_not_there_is_a_problem_too(replica: Replica, ana: Someone) -> None:
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("DELETE", "/api/v1/requests/generic", 405),
        ("GET", "/docs/x", 404),
    ):
        reply = await replica.client.request(method, path, headers=ana.headers)
        assert reply.status_code == status, path
        assert reply.headers["content-type"] == "application/problem+json"


BAD_SLACK: list[dict[str, str]] = [
    {"channel_id": "C1", "slack_user_id": "U1", "slack_team_id": ""},
    {"channel_id": "C1", "slack_user_id": "U1"},
    {"channel_id": "x" * 201, "slack_user_id": "U1", "slack_team_id": "T1"},
    {"channel_id": "C1", "slack_user_id": "U1", "slack_team_id": "T1", "email_from": "a@b"},
]


async def test_slack_fields_that_break_a_rule_are_a_422(replica: Replica, ana: Someone) -> None:
    for fields in BAD_SLACK:
        body = {"content": "x", "user_id": str(ana.user_id), **fields}
        reply = await replica.client.post("/api/v1/requests/slack", json=body, headers=service_headers())
        assert reply.status_code == 422, fields


async def test_a_very_long_thread_id_is_still_a_conversation(replica: Replica, ana: Someone) -> None:
    references = ["<" + "\u00fc" * 990 + "@x>"]
    body = {"content": "x", "user_id": str(ana.user_id), "email_from": "a@b", "message_id": "<1@x>"}
    sessions = {
        (
            await replica.client.post(
                "/api/v1/requests/email", json=body | {"references": references}, headers=service_headers()
            )
        ).json()["session_id"]
        for _ in range(2)
    }
    assert len(sessions) == 1


async def test_no_person_may_be_named_who_does_not_exist(replica: Replica) -> None:
    body = {
        "content": "x",
        "user_id": "0199b1c0-0000-7000-8000-000000000000",
        "email_from": "a@b",
        "message_id": "<1@x>",
    }
    reply = await replica.client.post("/api/v1/requests/email", json=body, headers=service_headers())
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
