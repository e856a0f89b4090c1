"""`ssa dead-letters`: what operators list, see, replay and discard."""

import json
from typing import Any

import pytest

from tests.support.cli import AT, REQUEST_ID, FakeRequestManager, problem, reply, ssa

LETTERS = "/api/v1/dead-letters"
ID = "agent-service:7"
LETTER: dict[str, Any] = {
    "id": ID,
    "service": "agent-service",
    "kind": "event",
    "queue": "agent-service.events",
    "request_id": str(REQUEST_ID),
    "cause": "UpstreamRejected: POST /events: 400",
    "attempts": 3,
    "lost": 0,
    "created_at": AT.isoformat(),
    "dead_at": AT.isoformat(),
    "replayable": True,
}
PAGE = {"items": [LETTER], "next_cursor": "1~x", "unreachable": ["integration-dispatcher"]}


def test_dead_letters_are_listed_with_cause_and_what_is_missing_is_told(api: FakeRequestManager) -> None:
    api.on("GET", LETTERS, reply(PAGE))
    shown = ssa("dead-letters", "list", api=api)
    assert shown.stdout == (
        f"{ID}\tevent\tagent-service.events\t{REQUEST_ID}\t3\t2026-11-23 17:40\tUpstreamRejected: POST /events: 400\n"
    )
    assert "--cursor 1~x" in shown.stderr
    assert "integration-dispatcher" in shown.stderr
    document = json.loads(ssa("dead-letters", "list", "--json", api=api).stdout)
    assert document["items"][0]["id"] == ID
    assert document["unreachable"] == ["integration-dispatcher"]


def test_conditions_are_sent_in_seconds(api: FakeRequestManager) -> None:
    api.on("GET", LETTERS, reply({"items": []}))
    options = [
        "--service",
        "agent-service",
        "--kind",
        "event",
        "--cause",
        "400",
        "--older-than",
        "2h",
        "--newer-than",
        "3d",
    ]
    assert ssa("dead-letters", "list", *options, api=api).exit_code == 0
    assert dict(api.calls[0].url.params) == {
        "service": "agent-service",
        "kind": "event",
        "cause": "400",
        "older_than_s": "7200.0",
        "newer_than_s": "259200.0",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--older-than", "soon"),
        ("list", "--kind", "letter"),
        ("replay",),
        ("replay", ID, "--kind", "event"),
        ("replay", ID, "--all"),
        ("replay", "--kind", "event"),
        ("discard",),
        ("discard", ID),
    ],
)
def test_what_is_not_clear_or_not_confirmed_is_not_done(api: FakeRequestManager, arguments: tuple[str, ...]) -> None:
    result = ssa("dead-letters", *arguments, api=api)
    assert (result.exit_code, api.calls) == (2, [])


def test_one_is_shown_with_its_facts(api: FakeRequestManager) -> None:
    facts = {"event": {"type": "com.self-service-agent.response.ready"}, "facts": {"knativeerrorcode": "400"}}
    api.on("GET", f"{LETTERS}/{ID}", reply(LETTER | facts))
    shown = ssa("dead-letters", "show", ID, api=api).stdout
    for words in (ID, "UpstreamRejected", "com.self-service-agent.response.ready", "knativeerrorcode"):
        assert words in shown
    assert json.loads(ssa("dead-letters", "show", ID, "--json", api=api).stdout)["event"] == facts["event"]


def test_one_is_replayed_and_the_new_request_is_named(api: FakeRequestManager) -> None:
    api.on("POST", f"{LETTERS}/{ID}/replay", reply({"id": ID, "request_id": str(REQUEST_ID)}, 202))
    shown = ssa("dead-letters", "replay", ID, api=api)
    assert shown.stdout == f"{ID}\t{REQUEST_ID}\n"
    assert "1 replayed" in shown.stderr


def test_all_that_fit_are_replayed_page_by_page(api: FakeRequestManager) -> None:
    pages = [
        {"replayed": [{"id": ID, "request_id": None}], "not_replayed": [], "next_cursor": "5~x"},
        {"replayed": [{"id": "agent-service:8", "request_id": None}], "not_replayed": []},
    ]
    bodies: list[dict[str, Any]] = []

    def answer(request: Any) -> Any:
        bodies.append(json.loads(request.content))
        return reply(pages[len(bodies) - 1], 202)

    api.on("POST", f"{LETTERS}/replay", answer)
    document = json.loads(ssa("dead-letters", "replay", "--cause", "400", "--yes", "--json", api=api).stdout)
    assert [each["id"] for each in document["replayed"]] == [ID, "agent-service:8"]
    assert bodies == [{"cause": "400"}, {"cause": "400", "cursor": "5~x"}]


def test_what_was_not_replayed_is_named_and_the_exit_code_tells_it(api: FakeRequestManager) -> None:
    lost = {"id": ID, "code": "gone", "message": "Its content was removed."}
    api.on("POST", f"{LETTERS}/replay", reply({"replayed": [], "not_replayed": [lost]}, 202))
    result = ssa("dead-letters", "replay", "--all", "--yes", api=api)
    assert result.exit_code == 5
    assert f"{ID}: Its content was removed. (gone)" in result.stderr


def test_those_that_are_named_are_discarded(api: FakeRequestManager) -> None:
    api.on("DELETE", f"{LETTERS}/{ID}", reply(None, 204))
    assert json.loads(ssa("dead-letters", "discard", ID, "-y", "--json", api=api).stdout) == {"discarded": [ID]}


@pytest.mark.parametrize(
    ("status", "code", "exit_code"), [(403, "not_allowed", 4), (404, "not_found", 3), (410, "gone", 3)]
)
def test_a_refusal_ends_with_its_exit_code(api: FakeRequestManager, status: int, code: str, exit_code: int) -> None:
    api.on("POST", f"{LETTERS}/{ID}/replay", problem(status, code))
    assert ssa("dead-letters", "replay", ID, api=api).exit_code == exit_code
