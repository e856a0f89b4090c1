"""Which server, which token."""

import os
from pathlib import Path

import pytest
from self_service_cli.connection import Connection, find_connection
from self_service_cli.failures import Failure
from self_service_cli.keyring_store import SavedLogin

from tests.support.cli import FakeLogins

LOCAL = "SSA_URL=http://127.0.0.1:8080\nSSA_TOKEN=ssa_local\nSSA_OPERATOR_TOKEN=ssa_operator\n"
LOGIN = SavedLogin(token="kept", token_endpoint="https://issuer/token", client_id="ssa")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which `make up` has written its file."""
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "env").write_text(LOCAL)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    return tmp_path


def find(
    *folders: Path,
    url: str = "",
    token: str = "",
    logins: FakeLogins | None = None,
    environ: dict[str, str] | None = None,
) -> Connection:
    logins = logins or FakeLogins()
    return find_connection(url=url, token=token, environ=environ or {}, folders=folders, logins=logins)


def test_flags_come_first_then_the_environment_then_the_local_file_then_the_default(checkout: Path) -> None:
    environ = {"SSA_URL": "http://127.0.0.1:2", "SSA_TOKEN": "ssa_env"}
    by_flags = find(checkout, url="http://127.0.0.1:1", token="ssa_flag", environ=environ)
    assert (by_flags.url, by_flags.token, by_flags.url_from) == ("http://127.0.0.1:1", "ssa_flag", "--url")
    by_environment = find(checkout, environ=environ)
    assert (by_environment.url, by_environment.token) == ("http://127.0.0.1:2", "ssa_env")
    by_file = find(checkout)
    assert (by_file.url, by_file.token) == ("http://127.0.0.1:8080", "ssa_local")
    assert by_file.token_from.endswith(".local/env")
    assert find() == Connection("http://127.0.0.1:8080", "default")


def test_the_file_is_found_upwards_and_the_nearest_folder_wins(checkout: Path) -> None:
    assert find(checkout / "deep" / "er").token == "ssa_local"
    nearer = checkout / "deep" / ".local"
    nearer.mkdir()
    (nearer / "env").write_text(LOCAL.replace("ssa_local", "ssa_nearer"))
    assert find(checkout / "deep" / "er", checkout).token == "ssa_nearer"
    assert find(checkout, checkout / "deep" / "er").token == "ssa_local"


@pytest.mark.parametrize(
    "text",
    [
        "export SSA_URL='http://localhost:8080/'\nexport SSA_TOKEN=\"ssa_local\"\n",
        "# a comment\n\n  SSA_URL = http://[::1]:8080\nnonsense\nSSA_TOKEN=ssa_local",
    ],
)
def test_the_file_may_be_written_as_shells_take_it(checkout: Path, text: str) -> None:
    (checkout / ".local" / "env").write_text(text)
    assert find(checkout).token == "ssa_local"


@pytest.mark.parametrize("url", ["https://evil.example", "http://127.0.0.1.evil.example:8080", "", "http://[", "x"])
def test_a_file_that_names_a_server_elsewhere_is_passed_over(checkout: Path, url: str) -> None:
    (checkout / ".local" / "env").write_text(f"SSA_URL={url}\nSSA_TOKEN=ssa_local\n")
    found = find(checkout, environ={"SSA_TOKEN": "ssa_env"})
    assert (found.url, found.token) == ("http://127.0.0.1:8080", "ssa_env")
    assert find(checkout).token == ""


def test_what_is_no_text_file_is_passed_over(checkout: Path) -> None:
    file = checkout / ".local" / "env"
    file.write_bytes(b"\xff\xfe")
    assert find(checkout).token == ""
    file.unlink()
    file.mkdir()
    assert find(checkout).token == ""


def test_a_file_of_somebody_else_is_passed_over(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = (checkout / ".local" / "env").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 4711)
    assert find(checkout).token == ("ssa_local" if owner == 0 else "")


def test_the_local_token_goes_to_no_other_server(checkout: Path) -> None:
    assert find(checkout, url="https://it.example.com").token == ""
    assert find(checkout, url="http://127.0.0.1:9999").token == ""
    assert find(checkout, url="http://localhost:8080").token == "ssa_local"


def test_a_saved_login_is_used_for_its_server_only_and_after_all_else(checkout: Path) -> None:
    logins = FakeLogins({"https://it.example.com": LOGIN, "http://127.0.0.1:8080": LOGIN})
    assert find(url="https://it.example.com/", logins=logins).login == LOGIN
    assert find(url="https://other.example.com", logins=logins).login is None
    assert find(checkout, logins=logins).login is None


@pytest.mark.parametrize("url", ["it.example.com", "file:///etc", "http://", "http://u@x", "http://x/#a", "http://x:0"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Failure) as caught:
        find(url=url)
    assert caught.value.exit_code == 2


def test_tokens_do_not_stand_in_a_representation() -> None:
    found = find(token="ssa_secret", logins=FakeLogins())
    assert "ssa_secret" not in repr(found)
