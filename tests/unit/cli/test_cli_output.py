"""Cleaning what a server sent, and the command line as a whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from self_service_cli.app import global_options_first
from self_service_cli.cleaning import clean, clean_line, clean_markdown
from self_service_cli.output import Output

from tests.support.cli import ssa

COMMANDS = (
    "ask",
    "chat",
    "agents",
    "feedback",
    "login",
    "logout",
    "doctor",
    "requests list",
    "requests get",
    "requests watch",
    "requests cancel",
    "requests retry",
    "sessions list",
    "sessions show",
    "sessions messages",
    "sessions rename",
    "sessions close",
    "deliveries list",
    "deliveries attempts",
    "deliveries replay",
    "dead-letters list",
    "dead-letters show",
    "dead-letters replay",
    "dead-letters discard",
    "integrations list",
    "integrations set",
    "integrations disable",
    "integrations reset",
    "keys list",
    "keys create",
    "keys revoke",
)


@given(st.text(st.characters(exclude_categories=())))
def test_a_clean_text_holds_nothing_that_steers_a_terminal(text: str) -> None:
    for cleaned in (clean(text), clean_line(text), clean_markdown(text)):
        assert not [character for character in cleaned if character < " " and character not in "\n\t"]
        assert not [character for character in cleaned if "\x7f" <= character <= "\x9f"]
        cleaned.encode()


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x1b[1;31mred\x1b[0m b", "ared b"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("line\r\nline\ttab", "line\nline\ttab"),
        ("over\rwritten", "over\N{REPLACEMENT CHARACTER}written"),
        ("\u202egnp.exe", "gnp.exe"),
        ("Grüße 👋 日本", "Grüße 👋 日本"),
    ],
)
def test_sequences_go_and_text_stays(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_markdown_cannot_bring_an_escape_character_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    Output(is_json=False).markdown("a &#27;[31m &#x1b;]0;x&#7; `&#27;` [link](http://evil) ![x](http://evil)")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "http://evil" in shown


def test_json_is_ascii_and_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=True).document({"text": "\x1b[31m\u202e\x9b grüße"})
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown)["text"] == "\x1b[31m\u202e\x9b grüße"


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        (["ask", "x", "--json"], ["--json", "ask", "x"]),
        (["ask", "--url", "http://x", "y"], ["--url", "http://x", "ask", "y"]),
        (["ask", "--token=t", "-y"], ["--token=t", "-y", "ask"]),
        (["ask", "--", "--json"], ["ask", "--", "--json"]),
        (["ask", "--url"], ["--url", "ask"]),
        (["--json", "--no-input", "ask", "--yes"], ["--json", "--no-input", "--yes", "ask"]),
    ],
)
def test_global_options_may_stand_anywhere(given: list[str], ordered: list[str]) -> None:
    assert global_options_first(given) == ordered


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = ssa(*command.split(), "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: ssa {command} ")


@pytest.mark.parametrize("group", ["requests", "sessions", "deliveries", "dead-letters", "integrations", "keys"])
def test_a_noun_alone_shows_its_verbs(group: str) -> None:
    result = ssa(group)
    verbs = [command.split()[1] for command in COMMANDS if command.startswith(f"{group} ")]
    assert all(f"\n  {verb} " in result.output for verb in verbs)


def test_the_version_is_told() -> None:
    assert ssa("--version").stdout == "ssa 0.1.0\n"


def test_the_installed_program_runs_and_completes(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("ssa")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments], env={**environment, **env}, cwd=tmp_path, capture_output=True, text=True, timeout=300
        )

    completion = run(_SSA_COMPLETE="complete_bash", COMP_WORDS="ssa requests w", COMP_CWORD="2")
    assert completion.stdout.split() == ["watch"]
    refused = run("requests", "list", "--json", SSA_URL="http://127.0.0.1:9", SSA_TOKEN="ssa_x")
    assert (refused.returncode, json.loads(refused.stdout)["error"]["code"]) == (1, "unreachable")
