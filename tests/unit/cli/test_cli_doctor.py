"""`ssa doctor`."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest
from self_service_cli.command import Surroundings, run_program
from typer.testing import Result

from tests.support.cli import URL, FakeLogins, FakeRequestManager, problem, reply, ssa

ME = "/api/v1/users/me"
EFFECTIVE = "/api/v1/users/me/integration-defaults"
NOW = 1_800_000_000.0


def uuid7_of(seconds: float) -> str:
    return UUID(int=(round(seconds * 1000) << 80) | (0x7 << 76) | (0x2 << 62)).hex


def ready(**headers: str) -> httpx.Response:
    return httpx.Response(
        200, content=b"{}", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.fixture
def api() -> FakeRequestManager:
    api = FakeRequestManager()
    api.on("GET", "/readyz", ready(x_request_id=uuid7_of(NOW)))
    api.on("GET", "/openapi.json", reply({"info": {"version": "0.1.0"}}))
    api.on("GET", ME, reply({"user_id": str(UUID(int=1)), "email": "ana@example.com", "name": "Ana", "role": "user"}))
    api.on("GET", EFFECTIVE, reply({"items": [{"integration": "email", "enabled": True, "is_used": True}]}))
    return api


def diagnose(api: FakeRequestManager, *options: str, now: float = NOW, **env: str | None) -> tuple[int, dict[str, Any]]:
    around = Surroundings(
        create_http=lambda: httpx.AsyncClient(transport=httpx.MockTransport(api)),
        logins=FakeLogins(),
        now=lambda: now,
    )
    result = ssa("doctor", "--json", *options, api=api, surroundings=around, env=dict(env))
    report = json.loads(result.stdout)
    assert report["ok"] is (result.exit_code == 0)
    assert all(check["ok"] or check["fix"] for check in report["checks"])
    return result.exit_code, {check["name"]: check for check in report["checks"]}


def test_a_good_set_up_is_told_check_by_check(api: FakeRequestManager) -> None:
    exit_code, checks = diagnose(api)
    assert exit_code == 0
    assert list(checks) == ["address", "server", "clock", "versions", "token", "integrations"]
    assert "ana@example.com" in checks["token"]["detail"]
    assert "email" in checks["integrations"]["detail"]


def test_for_a_person_it_is_a_table_and_the_fixes(api: FakeRequestManager) -> None:
    api.on("GET", ME, problem(401, "not_authenticated"))
    result = ssa("doctor", api=api)
    assert result.exit_code == 1
    assert "token\tNOT OK\t" in result.stdout
    assert "token: Sign in with `ssa login`" in result.stderr


def test_a_server_that_is_away_ends_the_checks_with_the_fix(api: FakeRequestManager) -> None:
    def gone(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    api.on("GET", "/readyz", gone)
    exit_code, checks = diagnose(api)
    assert (exit_code, list(checks)) == (1, ["address", "server"])
    assert "make up" in checks["server"]["fix"]


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_that_is_not_ready_or_another_one_is_named(api: FakeRequestManager, status: int) -> None:
    api.on("GET", "/readyz", httpx.Response(status))
    exit_code, checks = diagnose(api)
    assert (exit_code, checks["server"]["ok"]) == (1, False)


def test_an_address_without_encryption_is_named(api: FakeRequestManager) -> None:
    _, checks = diagnose(api, "--url", "http://it.example.com")
    assert checks["address"]["ok"] is False


@pytest.mark.parametrize(("skew", "ok"), [(0, True), (29, True), (31, False), (-31, False)])
def test_the_clock_is_compared_by_the_time_in_the_request_id(api: FakeRequestManager, skew: float, ok: bool) -> None:
    assert diagnose(api, now=NOW + skew)[1]["clock"]["ok"] is ok


def test_the_clock_is_compared_by_the_date_where_a_proxy_adds_one(api: FakeRequestManager) -> None:
    api.on("GET", "/readyz", ready(date="Fri, 15 Jan 2027 08:00:00 GMT"))
    assert diagnose(api)[1]["clock"]["detail"] == "0 s behind the server"


@pytest.mark.parametrize("request_id", ["", "nonsense", UUID(int=0).hex])
def test_a_server_that_does_not_tell_its_time_is_no_fault(api: FakeRequestManager, request_id: str) -> None:
    api.on("GET", "/readyz", ready(x_request_id=request_id))
    assert diagnose(api)[1]["clock"]["ok"] is True


@pytest.mark.parametrize(
    ("described", "ok"),
    [({"info": {"version": "0.1.9"}}, True), ({"info": {"version": "0.2.0"}}, False), ({}, True), ([], True)],
)
def test_versions_agree_up_to_the_minor_one(api: FakeRequestManager, described: object, ok: bool) -> None:
    api.on("GET", "/openapi.json", reply(described))
    assert diagnose(api)[1]["versions"]["ok"] is ok


def test_without_a_token_it_says_where_to_get_one(api: FakeRequestManager) -> None:
    exit_code, checks = diagnose(api, SSA_TOKEN=None)
    assert exit_code == 1
    assert "ssa login" in checks["token"]["fix"]


def test_integrations_that_cannot_be_read_are_named(api: FakeRequestManager) -> None:
    api.on("GET", EFFECTIVE, problem(503, "unavailable"))
    assert diagnose(api)[1]["integrations"]["ok"] is False


def test_an_integration_whose_account_is_refused_is_named(api: FakeRequestManager) -> None:
    slack = {"integration": "slack", "is_used": True, "is_paused": False}
    email = {"integration": "email", "is_used": True, "is_paused": True}
    unused = {"integration": "sms", "is_used": False, "is_paused": True}
    api.on("GET", EFFECTIVE, reply({"items": [slack, email, unused]}))
    exit_code, checks = diagnose(api)
    assert (exit_code, checks["integrations"]["ok"]) == (1, False)
    assert "what goes by email waits" in checks["integrations"]["detail"]
    assert "ssa integrations resume" in checks["integrations"]["fix"]


REPORT = {"ok": False, "checks": [{"name": "sign-in", "ok": False, "detail": "401\x1b[0m", "fix": "correct the key"}]}


def servicenow(stdout: str, *options: str) -> tuple[Result, list[Sequence[str]]]:
    ran: list[Sequence[str]] = []

    def program(arguments: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        ran.append(arguments)
        if stdout == "hangs":
            raise subprocess.TimeoutExpired(arguments, timeout_s)
        return subprocess.CompletedProcess(arguments, 1, stdout, "")

    return ssa("doctor", "servicenow", *options, surroundings=Surroundings(run_program=program)), ran


def test_servicenow_is_checked_by_the_mcp_servers_own_program() -> None:
    result, ran = servicenow(json.dumps(REPORT))
    assert ran == [(sys.executable, "-m", "servicenow_mcp.doctor")]
    assert (result.exit_code, result.stdout) == (1, "sign-in\tNOT OK\t401\n")
    assert result.stderr == "sign-in: correct the key\n"
    result, _ = servicenow(json.dumps({"checks": [{"name": "sign-in", "ok": True, "detail": "", "fix": ""}]}), "--json")
    assert json.loads(result.stdout)["ok"] is True
    assert result.exit_code == 0


@pytest.mark.parametrize("stdout", ["", "no json", "[]", "{}", '{"checks": "x"}'])
def test_checks_that_tell_nothing_are_an_error(stdout: str) -> None:
    result, _ = servicenow(stdout)
    assert result.exit_code == 1
    assert "by hand" in result.stderr


def test_checks_that_hang_are_ended() -> None:
    assert servicenow("hangs")[0].exit_code == 6


def test_without_the_mcp_server_it_says_where_to_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    result, ran = servicenow("")
    assert (result.exit_code, ran) == (1, [])
    assert "not installed here" in result.stderr


def test_a_program_is_run_to_its_end() -> None:
    ended = run_program((sys.executable, "-c", "print('done')"), 30.0)
    assert (ended.returncode, ended.stdout) == (0, "done\n")


def test_the_servers_address_is_told_with_its_source(api: FakeRequestManager) -> None:
    assert diagnose(api)[1]["address"]["detail"] == f"{URL} (from default)"
