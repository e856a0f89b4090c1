"""`ssa requests`, `sessions`, `agents`, `deliveries`, `feedback`, `keys`."""

from typing import Any

import pytest

from tests.support.cli import (
    AT,
    REQUEST_ID,
    SESSION_ID,
    FakeRequestManager,
    accepted,
    answer,
    both,
    problem,
    reply,
    ssa,
)

USER_ID = "01900000-0000-7000-8000-000000000003"
KEY_ID = "01900000-0000-7000-8000-000000000004"
DELIVERY_ID = "01900000-0000-7000-8000-000000000005"
REQUEST = f"/api/v1/requests/{REQUEST_ID}"
SESSION = f"/api/v1/sessions/{SESSION_ID}"
DETAIL: dict[str, Any] = {
    **answer().model_dump(mode="json"),
    "user_id": USER_ID,
    "sequence": 1,
    "request_type": "message",
    "content": "How old is my laptop?",
    "deliveries": [{"integration": "webhook", "status": "delivered"}],
    "feedback": {"rating": "up", "reason": "quick", "created_at": AT.isoformat()},
}
VIEW: dict[str, Any] = {
    "session_id": str(SESSION_ID),
    "user_id": USER_ID,
    "integration_type": "cli",
    "conversation_key": "cli:1",
    "status": "active",
    "request_count": 2,
    "agent": "laptop-refresh",
    "title": "A new laptop",
    "created_at": AT.isoformat(),
    "expires_at": AT.isoformat(),
}
KEY: dict[str, Any] = {
    "key_id": KEY_ID,
    "user_id": USER_ID,
    "name": "ci",
    "kind": "person",
    "prefix": "ssa_0a1b2c3d",
    "scopes": ["requests:read"],
    "acts_for": [],
    "created_at": AT.isoformat(),
}
DELIVERY: dict[str, Any] = {
    "delivery_id": DELIVERY_ID,
    "request_id": str(REQUEST_ID),
    "session_id": str(SESSION_ID),
    "user_id": USER_ID,
    "integration": "webhook",
    "target": "hooks.example.com",
    "status": "failed",
    "attempts": 3,
    "reason": "503",
    "created_at": AT.isoformat(),
    "expires_at": AT.isoformat(),
}


def test_one_request_is_shown_with_its_question_answer_and_deliveries(api: FakeRequestManager) -> None:
    api.on("GET", REQUEST, reply(DETAIL))
    shown, document = both(api, "requests", "get", str(REQUEST_ID))
    for words in ("How old is my laptop?", "Your laptop is 4 years old.", "webhook delivered", "up quick"):
        assert words in shown
    assert document["content"] == "How old is my laptop?"


def test_requests_are_listed_by_status_and_session(api: FakeRequestManager) -> None:
    api.on("GET", "/api/v1/requests", reply({"items": []}))
    options = ("--status", "failed", "--session", str(SESSION_ID), "--limit", "5", "--cursor", "abc")
    assert ssa("requests", "list", *options, api=api).exit_code == 0
    assert dict(api.calls[0].url.params) == {
        "limit": "5",
        "session_id": str(SESSION_ID),
        "cursor": "abc",
        "status": "failed",
    }


@pytest.mark.parametrize(("cancelling", "words"), [(True, "cancelling\n"), (False, "cancelled\n")])
def test_a_cancel_tells_what_came_of_it(api: FakeRequestManager, cancelling: bool, words: str) -> None:
    status = "processing" if cancelling else "cancelled"
    state = {**accepted().model_dump(mode="json"), "status": status, "cancelling": cancelling}
    api.on("POST", f"{REQUEST}/cancel", reply({**state, "created_at": AT.isoformat()}))
    shown, document = both(api, "requests", "cancel", str(REQUEST_ID))
    assert (shown, document["cancelling"]) == (words, cancelling)


def test_a_retry_is_waited_for_as_a_question_is(api: FakeRequestManager) -> None:
    api.on("POST", f"{REQUEST}/retry", reply(accepted(), 202))
    api.on("GET", f"{REQUEST}/result", reply(answer("Now it works.")))
    shown, document = both(api, "requests", "retry", str(REQUEST_ID))
    assert (shown, document["status"]) == ("Now it works.\n", "completed")
    assert str(REQUEST_ID) in ssa("requests", "retry", str(REQUEST_ID), "--no-wait", api=api).stdout


def test_sessions_are_listed_shown_and_renamed(api: FakeRequestManager) -> None:
    api.on("GET", "/api/v1/sessions", reply({"items": [VIEW]}))
    api.on("GET", SESSION, reply(VIEW))
    api.on("PATCH", SESSION, reply({**VIEW, "title": "Another"}))
    assert "A new laptop" in both(api, "sessions", "list")[0]
    assert "laptop-refresh" in both(api, "sessions", "show", str(SESSION_ID))[0]
    assert both(api, "sessions", "rename", str(SESSION_ID), "Another")[1]["title"] == "Another"
    assert api.body("PATCH", SESSION) == {"title": "Another"}
    assert ssa("sessions", "rename", str(SESSION_ID), "", api=api).exit_code == 2


def test_messages_are_shown_with_who_said_them(api: FakeRequestManager) -> None:
    said = {"request_id": str(REQUEST_ID), "created_at": AT.isoformat()}
    messages = [
        {**said, "role": "user", "content": "Hello"},
        {**said, "role": "assistant", "content": "Hello, Ana.", "agent": "routing-agent"},
    ]
    api.on("GET", f"{SESSION}/messages", reply({"items": messages, "next_cursor": "abc"}))
    shown, document = both(api, "sessions", "messages", str(SESSION_ID))
    assert shown.splitlines()[:2] == ["you, 2026-11-23 17:40:", "Hello"]
    assert "routing-agent, 2026-11-23 17:40:" in shown
    assert len(document["items"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("sessions", "close", str(SESSION_ID)),
        ("keys", "revoke", KEY_ID),
        ("deliveries", "replay", DELIVERY_ID),
        ("integrations", "reset"),
        ("integrations", "reset", "webhook"),
    ],
)
def test_what_cannot_be_undone_needs_a_yes(api: FakeRequestManager, arguments: tuple[str, ...]) -> None:
    for extra in ((), ("--no-input",)):
        result = ssa(*arguments, *extra, api=api, stdin="y\n")
        assert (result.exit_code, api.calls) == (2, [])
        assert "--yes" in result.stderr


def test_with_yes_nothing_is_asked(api: FakeRequestManager) -> None:
    api.on("POST", f"{SESSION}/close", reply({**VIEW, "status": "closing"}))
    api.on("DELETE", f"/api/v1/api-keys/{KEY_ID}", reply(None, 204))
    api.on("POST", f"/api/v1/deliveries/{DELIVERY_ID}/replay", reply(DELIVERY, 202))
    assert both(api, "sessions", "close", str(SESSION_ID), "--yes")[1]["status"] == "closing"
    assert both(api, "-y", "keys", "revoke", KEY_ID)[1] == {"key_id": KEY_ID, "revoked": True}
    assert both(api, "deliveries", "replay", DELIVERY_ID, "-y")[1]["delivery_id"] == DELIVERY_ID


def test_agents_are_listed_with_what_they_are_for(api: FakeRequestManager) -> None:
    agent = {
        "name": "laptop-refresh",
        "version": "1",
        "description": "Helps with a new laptop.",
        "model": "llm/demo-rules",
        "tools": ["find_my_laptops"],
        "knowledge_bases": [],
        "handoffs": [],
    }
    api.on("GET", "/api/v1/agents", reply({"items": [agent]}))
    shown, document = both(api, "agents")
    assert shown == "laptop-refresh\t1\tfind_my_laptops\tHelps with a new laptop.\n"
    assert document == [agent]


def test_deliveries_and_their_tries_are_listed(api: FakeRequestManager) -> None:
    tries = [
        {"part": 1, "number": 1, "outcome": "delayed", "code": 503, "detail": "busy", "started_at": AT.isoformat()},
        {"part": 1, "number": 2, "outcome": None, "code": None, "started_at": AT.isoformat(), "ended_at": None},
    ]
    api.on("GET", "/api/v1/users/me/deliveries", reply({"items": [DELIVERY], "next_cursor": "abc"}))
    api.on("GET", f"/api/v1/deliveries/{DELIVERY_ID}/attempts", reply({"items": tries}))
    shown, document = both(api, "deliveries", "list")
    assert shown.split("\t")[2:6] == ["webhook", "hooks.example.com", "failed", "3"]
    assert document["items"] == [DELIVERY]
    shown, document = both(api, "deliveries", "attempts", DELIVERY_ID)
    assert shown.splitlines()[0].split("\t") == ["1", "1", "delayed", "503", "2026-11-23 17:40", "", "busy"]
    assert len(document["items"]) == 2


def test_operators_list_the_deliveries_of_a_person(api: FakeRequestManager) -> None:
    api.on("GET", f"/api/v1/users/{USER_ID}/deliveries", reply({"items": [DELIVERY]}))
    assert both(api, "deliveries", "list", "--user", USER_ID)[1]["items"] == [DELIVERY]


def test_feedback_is_sent_with_its_reason(api: FakeRequestManager) -> None:
    api.on("POST", f"{REQUEST}/feedback", reply({"rating": "down", "reason": "slow", "created_at": AT.isoformat()}))
    _, document = both(api, "feedback", str(REQUEST_ID), "down", "--reason", "slow")
    assert document["rating"] == "down"
    assert api.body("POST", f"{REQUEST}/feedback") == {"rating": "down", "reason": "slow"}
    assert ssa("feedback", str(REQUEST_ID), "sideways", api=api).exit_code == 2


def test_a_new_key_is_all_that_stands_on_stdout(api: FakeRequestManager) -> None:
    api.on("POST", "/api/v1/api-keys", reply({**KEY, "api_key": "ssa_0a1b2c3d_new"}, 201))
    options = ("--scope", "requests:read", "--expires-in-days", "30")
    shown, document = both(api, "keys", "create", "ci", *options)
    assert (shown, document["api_key"]) == ("ssa_0a1b2c3d_new\n", "ssa_0a1b2c3d_new")
    assert api.body("POST", "/api/v1/api-keys") == {
        "name": "ci",
        "kind": "person",
        "scopes": ["requests:read"],
        "acts_for": [],
        "expires_in_days": 30,
    }


def test_a_tools_key_acts_for_the_named_people(api: FakeRequestManager) -> None:
    api.on("POST", "/api/v1/api-keys", reply({**KEY, "kind": "tool", "api_key": "ssa_x"}, 201))
    assert ssa("keys", "create", "snow", "--kind", "tool", "--acts-for", "everyone", api=api).exit_code == 0
    assert ssa("keys", "create", "snow", "--kind", "tool", "--acts-for", USER_ID, api=api).exit_code == 0
    assert api.body("POST", "/api/v1/api-keys")["acts_for"] == "everyone"
    assert api.body("POST", "/api/v1/api-keys", 1)["acts_for"] == [USER_ID]
    assert ssa("keys", "create", "snow", "--acts-for", "everyone", api=api).exit_code == 2


def test_making_a_key_is_not_repeated_by_itself(api: FakeRequestManager) -> None:
    api.on("POST", "/api/v1/api-keys", problem(503, "unavailable"))
    assert ssa("keys", "create", "ci", api=api).exit_code == 1
    assert len(api.calls) == 1


def test_keys_are_listed_without_the_keys(api: FakeRequestManager) -> None:
    revoked = {**KEY, "revoked_at": AT.isoformat(), "expires_at": AT.isoformat()}
    api.on("GET", "/api/v1/api-keys", reply({"items": [KEY, revoked]}))
    shown, _ = both(api, "keys", "list")
    assert [line.split("\t")[-2:] for line in shown.splitlines()] == [["never", "valid"], ["2026-11-23", "revoked"]]
