"""Exit codes, words, and what never appears on the screen."""

import json

import httpx
import pytest

from tests.support.cli import AT, REQUEST_ID, SESSION_ID, TOKEN, FakeRequestManager, problem, reply, ssa

LIST = "/api/v1/requests"


def item(excerpt: str) -> dict[str, object]:
    return {
        "request_id": str(REQUEST_ID),
        "session_id": str(SESSION_ID),
        "user_id": str(SESSION_ID),
        "status": "completed",
        "integration_type": "cli",
        "request_type": "message",
        "excerpt": excerpt,
        "created_at": AT.isoformat(),
    }


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "malformed_body", 1),
        (401, "not_authenticated", 4),
        (403, "not_allowed", 4),
        (404, "not_found", 3),
        (408, "too_slow", 6),
        (409, "conflict", 5),
        (410, "gone", 3),
        (422, "invalid_request", 1),
        (422, "idempotency_conflict", 5),
        (429, "too_many_requests", 1),
        (500, "internal_error", 1),
        (503, "unavailable", 1),
        (504, "gateway_timeout", 6),
    ],
)
def test_each_refusal_has_its_exit_code_one_line_and_the_request_id(status: int, code: str, exit_code: int) -> None:
    api = FakeRequestManager()
    api.on("GET", LIST, problem(status, code))
    result = ssa("requests", "list", api=api)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.splitlines()[0] == f"ssa: The title of {code}."
    assert result.stderr.splitlines()[-1] == "  request id: http-id-1"
    as_json = ssa("requests", "list", "--json", api=api)
    assert as_json.exit_code == exit_code
    assert json.loads(as_json.stdout)["error"]["code"] == code


def test_a_limit_tells_when_to_try_again() -> None:
    api = FakeRequestManager()
    limited = problem(429, "too_many_requests")
    limited.headers["retry-after"] = "7"
    api.on("GET", LIST, limited)
    assert "Try again in 7 s." in ssa("requests", "list", api=api).stderr


def test_a_server_error_that_passes_is_not_noticed() -> None:
    api = FakeRequestManager()
    api.on("GET", LIST, problem(503, "unavailable"), reply({"items": []}))
    result = ssa("requests", "list", "--json", api=api)
    assert (result.exit_code, json.loads(result.stdout)["items"]) == (0, [])


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (httpx.ConnectError("refused"), 1, "http://127.0.0.1:8080 cannot be reached."),
        (httpx.ReadTimeout("slow"), 6, "http://127.0.0.1:8080 did not answer in time."),
    ],
)
def test_no_answer_at_all_is_told_in_words(error: httpx.TransportError, exit_code: int, words: str) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    api = FakeRequestManager()
    api.on("GET", LIST, fail)
    result = ssa("requests", "list", api=api)
    assert result.exit_code == exit_code
    assert result.stderr.startswith(f"ssa: {words}\n")


@pytest.mark.parametrize("content", ["<html>", "[]", '{"items": 1}', '{"items": [{"request_id": "x"}]}'])
def test_an_answer_that_cannot_be_read_is_told_in_words(content: str) -> None:
    api = FakeRequestManager()
    api.on("GET", LIST, httpx.Response(200, content=content))
    result = ssa("requests", "list", api=api)
    assert result.exit_code == 1
    assert result.stderr.startswith("ssa: The server's answer could not be read.\n")


def test_without_a_token_nothing_is_sent() -> None:
    api = FakeRequestManager()
    result = ssa("requests", "list", api=api, env={"SSA_TOKEN": None})
    assert (result.exit_code, api.calls) == (4, [])
    assert "ssa login" in result.stderr


@pytest.mark.parametrize("arguments", [("nonsense",), ("requests", "get"), ("requests", "get", "x"), ("--nonsense",)])
def test_wrong_arguments_are_usage_errors(arguments: tuple[str, ...]) -> None:
    result = ssa(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


@pytest.mark.parametrize("arguments", [("nonsense",), ("requests", "get"), ("requests", "get", "x"), ("ask", "")])
def test_wrong_arguments_are_a_document_for_a_script(arguments: tuple[str, ...]) -> None:
    result = ssa(*arguments, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "usage"


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://", "http://user:pass@x", "http://x/?a=b", "http://[x"])
def test_an_address_that_is_none_is_a_usage_error(url: str) -> None:
    result = ssa("requests", "list", "--url", url)
    assert result.exit_code == 2
    assert "--url" in result.stderr
    assert "pass" not in result.output


@pytest.mark.parametrize("token", ["two words", "line\nfeed", "ümlaut", " "])
def test_a_token_that_is_none_is_a_usage_error_and_not_shown(token: str) -> None:
    result = ssa("requests", "list", env={"SSA_TOKEN": token})
    assert result.exit_code == 2
    assert "SSA_TOKEN" in result.stderr
    assert token.strip() == "" or token not in result.output


def test_a_server_that_repeats_the_token_does_not_get_it_on_the_screen() -> None:
    api = FakeRequestManager()
    api.on("GET", LIST, reply({"items": [item(f"your token is {TOKEN}")]}))
    assert "your token is ***" in ssa("requests", "list", api=api).stdout
    assert "your token is ***" in ssa("requests", "list", "--json", api=api).stdout
    api.on("GET", LIST, problem(403, "not_allowed", detail=f"{TOKEN} may not", hint=TOKEN, request_id=TOKEN))
    assert ssa("requests", "list", api=api).stderr.startswith("ssa: *** may not\n")
    ssa("requests", "list", "--json", api=api)


def test_a_token_given_as_an_option_is_used_and_not_shown() -> None:
    api = FakeRequestManager(token="ssa_other")
    api.on("GET", LIST, problem(403, "not_allowed", detail="ssa_other may not"))
    result = ssa("requests", "list", "--token", "ssa_other", api=api)
    assert "ssa_other" not in result.output


ESCAPES = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;http://evil\x1b\\link \x9b2J \x08\x08 \r \x1bc \u202eabc\x00"


def test_escape_sequences_of_a_server_do_not_reach_the_terminal() -> None:
    api = FakeRequestManager()
    api.on("GET", LIST, reply({"items": [item(ESCAPES)]}))
    for options in ((), ("--json",)):
        for env in ({}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}):
            shown = ssa("requests", "list", *options, api=api, env=dict(env)).output
            assert not [character for character in shown if character < " " and character not in "\n\t"]
            assert not set(shown) & set("\x7f\x9b\u202e")
    api.on("GET", LIST, problem(403, "not_allowed", detail=ESCAPES, hint=ESCAPES, request_id=ESCAPES))
    shown = ssa("requests", "list", api=api).output
    assert not [character for character in shown if character < " " and character != "\n"]


def test_no_color_means_no_escape_sequence_even_on_a_terminal() -> None:
    api = FakeRequestManager()
    api.on("GET", LIST, reply({"items": [item("a question")]}))
    with_colour = ssa("requests", "list", api=api, env={"FORCE_COLOR": "1"})
    without = ssa("requests", "list", api=api, env={"FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert "\x1b[" in with_colour.stdout
    assert "\x1b" not in without.output
    assert "a question" in without.stdout


def test_in_a_pipe_a_list_is_one_line_per_row_with_tabs() -> None:
    api = FakeRequestManager()
    api.on("GET", LIST, reply({"items": [item("two\nlines\tand a tab")], "next_cursor": "abc"}))
    result = ssa("requests", "list", api=api)
    assert result.stdout.split("\t") == [
        str(REQUEST_ID),
        "completed",
        "2026-11-23 17:40",
        "-",
        "two lines and a tab\n",
    ]
    assert "--cursor abc" in result.stderr
