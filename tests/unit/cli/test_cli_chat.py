"""`ssa chat` and `ssa requests watch`: answers over a stream that may be cut."""

import asyncio
import json
import signal

import httpx
import pytest
from shared_models.enums import RequestStatus
from shared_models.schemas import ErrorInfo

from tests.support.cli import (
    REQUEST_ID,
    SESSION_ID,
    FakeRequestManager,
    accepted,
    answer,
    end,
    event,
    lines,
    problem,
    reply,
    ssa,
    stream,
)

ASK = "/api/v1/requests/cli"
EVENTS = f"/api/v1/requests/{REQUEST_ID}/events"
WHOLE = "Your laptop is 4 years old."
TERMINAL: dict[str, str | None] = {"FORCE_COLOR": "1", "NO_COLOR": "1"}


@pytest.fixture
def api() -> FakeRequestManager:
    api = FakeRequestManager()
    api.on("POST", ASK, reply(accepted(), 202))
    api.on("GET", EVENTS, stream(event("status", "1-1", status="processing"), end(answer(), "1-2")))
    return api


def test_each_line_of_stdin_is_a_turn_of_one_session(api: FakeRequestManager) -> None:
    api.on("GET", EVENTS, stream(end(answer("First."))), stream(end(answer("Second."))))
    result = ssa("chat", api=api, stdin="I need a new laptop\n\nthe second one\n")
    assert (result.exit_code, result.stdout) == (0, "First.\nSecond.\n")
    assert api.body("POST", ASK, 0) == {"content": "I need a new laptop", "stream": True}
    assert api.body("POST", ASK, 1) == {"content": "the second one", "session_id": str(SESSION_ID), "stream": True}
    assert f"ssa chat --session {SESSION_ID}" in result.stderr


def test_a_given_session_is_continued(api: FakeRequestManager) -> None:
    ssa("chat", "--session", str(SESSION_ID), api=api, stdin="x\n")
    assert api.body("POST", ASK)["session_id"] == str(SESSION_ID)


@pytest.mark.parametrize("goodbye", ["exit", "/quit"])
def test_a_goodbye_ends_it_and_is_not_sent(api: FakeRequestManager, goodbye: str) -> None:
    assert ssa("chat", api=api, stdin=f"x\n{goodbye}\ny\n").exit_code == 0
    assert len(api.asked("POST", ASK)) == 1


def test_a_terminal_shows_the_pieces_as_they_come_and_the_answer_once(api: FakeRequestManager) -> None:
    pieces = [event("delta", "1-1", text="Your laptop"), event("tool", "1-2", name="find_my_laptops")]
    pieces.append(event("delta", "1-3", text=" is 4 years old."))
    api.on("GET", EVENTS, stream(*pieces, end(answer())))
    result = ssa("chat", api=api, stdin="x\n", env=TERMINAL)
    assert result.stdout == WHOLE + "\n"
    assert "find_my_laptops" in result.stderr


def test_after_a_cut_it_goes_on_behind_the_last_event(api: FakeRequestManager) -> None:
    first = stream(event("delta", "1-1", text="Your laptop"), cut=True)
    nothing = stream(cut=True)
    again = stream(event("delta", "1-4", text=" is 4"), event("delta", "1-5", text=" years old."))
    last = stream(end(answer(), "1-6"))
    api.on("GET", EVENTS, first, nothing, again, last)
    result = ssa("chat", api=api, stdin="x\n", env=TERMINAL)
    assert result.stdout == WHOLE + "\n"
    seen = [call.headers.get("last-event-id") for call in api.asked("GET", EVENTS)]
    assert seen == [None, "1-1", "1-1", "1-5"]


def test_a_restarted_run_begins_its_text_anew(api: FakeRequestManager) -> None:
    api.on("GET", EVENTS, stream(event("delta", "1-1", text="Some"), event("reset", "2-0"), end(answer())))
    result = ssa("chat", api=api, stdin="x\n", env=TERMINAL)
    assert lines(result.stdout) == ["Some", WHOLE]


def test_a_text_that_was_replaced_at_the_end_is_shown_whole(api: FakeRequestManager) -> None:
    api.on("GET", EVENTS, stream(event("delta", text="Something else"), end(answer())))
    assert lines(ssa("chat", api=api, stdin="x\n", env=TERMINAL).stdout) == ["Something else", WHOLE]


def test_in_a_pipe_only_the_final_answer_is_printed(api: FakeRequestManager) -> None:
    api.on("GET", EVENTS, stream(event("delta", text="Something"), event("reset"), end(answer())))
    assert ssa("chat", api=api, stdin="x\n").stdout == WHOLE + "\n"


def test_pieces_of_a_server_cannot_steer_the_terminal(api: FakeRequestManager) -> None:
    api.on(
        "GET", EVENTS, stream(event("delta", text="a\x1b"), event("delta", text="[31mb"), end(answer("a&#27;[31mb")))
    )
    assert "\x1b" not in ssa("chat", api=api, stdin="x\n", env=TERMINAL).output


@pytest.mark.parametrize("data", ["", "no json", "[]", "1"])
def test_an_event_that_cannot_be_read_is_passed_over(api: FakeRequestManager, data: str) -> None:
    odd = event("delta", "1-1")
    api.on("GET", EVENTS, stream(type(odd)("delta", data, "1-1"), event("unknown", "1-2"), end(answer())))
    assert ssa("chat", api=api, stdin="x\n", env=TERMINAL).stdout == WHOLE + "\n"


def test_a_stream_that_never_answers_ends_with_the_way_to_the_answer(api: FakeRequestManager) -> None:
    api.on("GET", EVENTS, *(stream(cut=True) for _ in range(20)))
    result = ssa("requests", "watch", str(REQUEST_ID), api=api)
    assert result.exit_code == 1
    assert f"ssa requests watch {REQUEST_ID}" in result.stderr
    assert len(api.asked("GET", EVENTS)) < 20


def test_a_stream_that_tells_nothing_new_is_given_up_as_well(api: FakeRequestManager) -> None:
    api.on("GET", EVENTS, stream(event("status", status="processing")))
    assert ssa("requests", "watch", str(REQUEST_ID), api=api).exit_code == 1


def test_with_json_each_answer_is_one_line(api: FakeRequestManager) -> None:
    api.on("GET", EVENTS, stream(end(answer("First."))), stream(end(answer("Second."))))
    documents = [json.loads(line) for line in ssa("chat", "--json", api=api, stdin="a\nb\n").stdout.splitlines()]
    assert [each["response"]["content"] for each in documents] == ["First.", "Second."]


def test_a_request_that_fails_ends_a_script(api: FakeRequestManager) -> None:
    error = ErrorInfo(code="model_unavailable", message="The model does not answer.")
    failed = answer(status=RequestStatus.FAILED, response=None, error=error)
    api.on("GET", EVENTS, stream(end(failed)))
    result = ssa("chat", api=api, stdin="a\nb\n")
    assert (result.exit_code, len(api.asked("POST", ASK))) == (1, 1)
    assert "The model does not answer." in result.stderr


def test_a_session_that_ended_in_between_is_followed_by_a_new_one(api: FakeRequestManager) -> None:
    api.on("GET", EVENTS, stream(end(answer("First."))), stream(end(answer("Second."))))
    api.on("POST", ASK, reply(accepted(), 202), problem(409, "session_ended"), reply(accepted(), 202))
    result = ssa("chat", api=api, stdin="new\nI need a laptop\n")
    assert (result.exit_code, result.stdout) == (0, "First.\nSecond.\n")
    assert "session_id" not in api.body("POST", ASK, 2)


def test_a_given_session_that_has_ended_is_a_conflict(api: FakeRequestManager) -> None:
    api.on("POST", ASK, problem(409, "session_ended"))
    assert ssa("chat", "--session", str(SESSION_ID), api=api, stdin="x\n").exit_code == 5


def test_ctrl_c_in_an_answer_offers_to_watch_it_and_to_go_on(api: FakeRequestManager) -> None:
    async def interrupted(_request: httpx.Request) -> httpx.Response:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)
        raise AssertionError("it was not interrupted")

    api.on("GET", EVENTS, interrupted)
    result = ssa("chat", api=api, stdin="x\n")
    assert result.exit_code == 130
    assert f"ssa requests watch {REQUEST_ID}" in result.stderr
    assert f"ssa chat --session {SESSION_ID}" in result.stderr


def test_watching_shows_the_answer_of_a_running_request(api: FakeRequestManager) -> None:
    result = ssa("requests", "watch", str(REQUEST_ID), api=api)
    assert (result.exit_code, result.stdout) == (0, WHOLE + "\n")
    as_json = ssa("requests", "watch", str(REQUEST_ID), "--json", api=api)
    assert json.loads(as_json.stdout) == answer().model_dump(mode="json")


def test_watching_somebody_elses_request_is_not_found(api: FakeRequestManager) -> None:
    api.on("GET", EVENTS, problem(404, "not_found"))
    assert ssa("requests", "watch", str(REQUEST_ID), api=api).exit_code == 3
