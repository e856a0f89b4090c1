"""`ssa ask`."""

import asyncio
import json
import signal

import httpx
import pytest
from shared_models.enums import RequestStatus
from shared_models.schemas import Citation, Confirmation, ErrorInfo

from tests.support.cli import (
    AT,
    REQUEST_ID,
    SESSION_ID,
    FakeRequestManager,
    accepted,
    answer,
    problem,
    reply,
    ssa,
)

ASK = "/api/v1/requests/cli"
RESULT = f"/api/v1/requests/{REQUEST_ID}/result"


@pytest.fixture
def api() -> FakeRequestManager:
    api = FakeRequestManager()
    api.on("POST", ASK, reply(accepted(), 202))
    api.on("GET", RESULT, reply(answer()))
    return api


def test_the_answer_is_all_that_stands_on_stdout(api: FakeRequestManager) -> None:
    result = ssa("ask", "How old is my laptop?", api=api)
    assert (result.exit_code, result.stdout) == (0, "Your laptop is 4 years old.\n")
    assert str(SESSION_ID) in result.stderr
    assert api.body("POST", ASK) == {"content": "How old is my laptop?"}
    assert api.asked("POST", ASK)[0].headers["prefer"] == "respond-async"


def test_it_waits_over_several_polls(api: FakeRequestManager) -> None:
    api.on("GET", RESULT, reply(accepted(), 202), reply(accepted(), 202), reply(answer()))
    assert ssa("ask", "x", api=api).exit_code == 0
    assert [call.url.params["wait"] for call in api.asked("GET", RESULT)] == ["25", "25", "25"]


def test_a_wait_that_ends_says_how_to_go_on(api: FakeRequestManager) -> None:
    api.on("GET", RESULT, reply(accepted(), 202))
    result = ssa("ask", "x", "--wait", "0", api=api)
    assert (result.exit_code, result.stdout) == (6, "")
    assert f"ssa requests watch {REQUEST_ID}" in result.stderr


def test_without_waiting_the_ids_are_printed_at_once(api: FakeRequestManager) -> None:
    result = ssa("ask", "x", "--no-wait", api=api)
    assert result.exit_code == 0
    assert str(REQUEST_ID) in result.stdout
    assert api.asked("GET", RESULT) == []


def test_json_is_one_document_wherever_the_option_stands(api: FakeRequestManager) -> None:
    for arguments in (("--json", "ask", "x"), ("ask", "--json", "x"), ("ask", "x", "--json")):
        assert json.loads(ssa(*arguments, api=api).stdout) == answer().model_dump(mode="json")
    assert json.loads(ssa("ask", "x", "--no-wait", "--json", api=api).stdout)["request_id"] == str(REQUEST_ID)


def test_session_and_targets_are_sent(api: FakeRequestManager) -> None:
    options = ("--session", str(SESSION_ID), "--deliver-to", "email", "--deliver-to", "webhook", "--all-targets")
    assert ssa("ask", "x", *options, api=api).exit_code == 0
    assert api.body("POST", ASK) == {
        "content": "x",
        "session_id": str(SESSION_ID),
        "deliver_to": ["email", "webhook"],
        "delivery_policy": "all",
    }


def test_a_dash_reads_the_question_from_stdin(api: FakeRequestManager) -> None:
    assert ssa("ask", "-", api=api, stdin="line one\nline two\n").exit_code == 0
    assert api.body("POST", ASK)["content"] == "line one\nline two"


def test_a_question_after_two_dashes_may_look_like_an_option(api: FakeRequestManager) -> None:
    assert ssa("ask", "--", "--json", api=api).exit_code == 0
    assert api.body("POST", ASK)["content"] == "--json"


@pytest.mark.parametrize(
    "arguments",
    [("",), ("   ",), ("x" * 65_537,), ("a\x00b",), ("x", "--deliver-to", "fax"), ("x", "--session", "no-uuid"), ()],
)
def test_what_cannot_be_sent_is_a_usage_error_and_is_not_sent(
    api: FakeRequestManager, arguments: tuple[str, ...]
) -> None:
    result = ssa("ask", *arguments, api=api)
    assert (result.exit_code, result.stdout, api.calls) == (2, "", [])
    assert result.stderr != ""


def test_sources_and_a_question_that_waits_are_shown(api: FakeRequestManager) -> None:
    response = answer("Shall I order it?").response
    assert response is not None
    confirmation = Confirmation(
        id=REQUEST_ID, tool="open_laptop_refresh_ticket", effect="Orders a laptop.", arguments={}, expires_at=AT
    )
    citations = [Citation(document="policy.md", section="Cycle"), Citation(document="policy.md", section="Cycle")]
    response = response.model_copy(update={"confirmation": confirmation, "citations": citations})
    api.on("GET", RESULT, reply(answer(response=response)))
    result = ssa("ask", "x", api=api)
    assert result.stdout.splitlines() == ["Shall I order it?", "", "Sources:", "- policy.md: Cycle", "Orders a laptop."]
    assert f"until {AT.astimezone():%H:%M}." in result.stderr


def test_a_request_that_failed_tells_why_and_how_to_try_again(api: FakeRequestManager) -> None:
    error = ErrorInfo(code="model_unavailable", message="The model does not answer.", retryable=True)
    failed = answer(status=RequestStatus.FAILED, response=None, error=error)
    api.on("GET", RESULT, reply(failed))
    result = ssa("ask", "x", api=api)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "ssa: The model does not answer.",
        f"  Try again with: ssa requests retry {REQUEST_ID}",
        f"  request id: {REQUEST_ID}",
    ]
    as_json = ssa("ask", "x", "--json", api=api)
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, failed.model_dump(mode="json"))


@pytest.mark.parametrize("status", [RequestStatus.CANCELLED, RequestStatus.EXPIRED])
def test_an_end_without_an_answer_is_an_error(api: FakeRequestManager, status: RequestStatus) -> None:
    api.on("GET", RESULT, reply(answer(status=status, response=None)))
    result = ssa("ask", "x", api=api)
    assert result.exit_code == 1
    assert status in result.stderr


def test_ctrl_c_leaves_and_tells_how_to_see_the_answer(api: FakeRequestManager) -> None:
    async def interrupted(_request: httpx.Request) -> httpx.Response:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)
        raise AssertionError("it was not interrupted")

    api.on("GET", RESULT, interrupted)
    result = ssa("ask", "x", api=api)
    assert (result.exit_code, result.stdout) == (130, "")
    assert f"ssa requests watch {REQUEST_ID}" in result.stderr


def test_a_server_that_goes_away_while_we_wait_still_leaves_the_way_to_the_answer(api: FakeRequestManager) -> None:
    def gone(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    api.on("GET", RESULT, gone)
    result = ssa("ask", "x", api=api)
    assert result.exit_code == 1
    assert f"ssa requests watch {REQUEST_ID}" in result.stderr


def test_a_refused_question_is_told_in_the_servers_words(api: FakeRequestManager) -> None:
    api.on("POST", ASK, problem(409, "session_ended"))
    result = ssa("ask", "x", "--session", str(SESSION_ID), "--json", api=api)
    assert result.exit_code == 5
    assert json.loads(result.stdout) == {
        "error": {
            "code": "session_ended",
            "message": "The title of session_ended.",
            "hint": "The hint of session_ended.",
            "request_id": "http-id-1",
            "exit_code": 5,
        }
    }
