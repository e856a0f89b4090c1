"""Which model answers, and what every program is told."""

import json
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from local_stack.access import Access
from local_stack.farewell import farewell
from local_stack.problems import LaunchProblem
from local_stack.settings import UpSettings
from local_stack.state import Secrets
from local_stack.wiring import Ports, Wiring, choose_model


def settings(**given: str) -> UpSettings:
    """Settings from these values alone, whatever the environment says."""
    return UpSettings.model_validate(given)


PORTS = Ports.of(settings())


def wiring(tmp_path: Path) -> Wiring:
    model = choose_model(settings(), PORTS)
    return Wiring(PORTS, Secrets.generate(), model, tmp_path, "postgresql://u:hush@127.0.0.1/x")


def test_without_a_model_demo_rules_answers_behind_ogx() -> None:
    model = choose_model(settings(), PORTS)
    assert (model.url, model.model) == (f"http://127.0.0.1:{PORTS.ogx}", "llm/demo-rules")
    assert model.upstream is not None
    assert model.upstream.url == f"http://127.0.0.1:{PORTS.demo_rules}/v1"


def test_an_own_model_stands_behind_ogx() -> None:
    given = settings(llm_url="https://models.example/v1", llm_model="big-1", llm_api_key="hush")
    model = choose_model(given, PORTS)
    assert (model.url, model.model) == (f"http://127.0.0.1:{PORTS.ogx}", "llm/big-1")
    assert model.upstream is not None
    assert (model.upstream.url, model.upstream.api_key) == ("https://models.example/v1", "hush")
    assert "hush" not in repr(model)


def test_an_own_llama_stack_needs_no_ogx() -> None:
    given = settings(llama_stack_url="http://stack.example:8321/v1/", llama_stack_model="vllm/big-1")
    model = choose_model(given, PORTS)
    assert (model.url, model.model, model.upstream) == ("http://stack.example:8321", "vllm/big-1", None)


@pytest.mark.parametrize(("variable", "missing"), [("llama_stack_url", "LLAMA_STACK_MODEL"), ("llm_url", "LLM_MODEL")])
def test_an_address_without_a_model_name_is_refused_with_the_fix(variable: str, missing: str) -> None:
    with pytest.raises(LaunchProblem, match=f"set {missing}"):
        choose_model(settings(**{variable: "http://stack.example"}), PORTS)


def test_free_ports_are_all_different() -> None:
    ports = Ports.free()
    assert len({getattr(ports, each.name) for each in fields(ports)}) == len(fields(ports))


def test_only_agent_service_can_sign_identities_and_only_the_dispatcher_opens_secrets(tmp_path: Path) -> None:
    all_programs = wiring(tmp_path)
    programs = [*all_programs.services(), all_programs.servicenow_mcp(), all_programs.servicenow()]
    holders = {
        secret: {each.name for each in programs if getattr(all_programs.secrets, secret) in each.env.values()}
        for secret in ("identity_signing_key", "identity_public_key", "secrets_key", "servicenow_api_key")
    }
    assert holders == {
        "identity_signing_key": {"agent-service"},
        "identity_public_key": {"ServiceNow MCP"},
        "secrets_key": {"integration-dispatcher"},
        "servicenow_api_key": {"ServiceNow MCP", "ServiceNow stand-in"},
    }


def test_each_service_has_its_own_database_role_and_no_program_shows_its_environment(tmp_path: Path) -> None:
    services = wiring(tmp_path).services()
    roles = {each.name: each.env["DATABASE_ROLE"] for each in services}
    assert roles == {
        "request-manager": "ssa_request_manager",
        "agent-service": "ssa_agent_service",
        "integration-dispatcher": "ssa_integration_dispatcher",
    }
    assert "hush" not in repr(services)


def test_the_curl_line_is_one_that_a_shell_understands(tmp_path: Path) -> None:
    access = Access("http://127.0.0.1:8080", "tok_1", "tok_2")
    text = farewell(wiring(tmp_path), access, ready_s=3.21)
    line = next(line for line in text.splitlines() if line.strip().startswith("curl"))
    words = shlex.split(line)
    assert words[2] == "http://127.0.0.1:8080/api/v1/requests/cli"
    assert "Authorization: Bearer tok_1" in words
    assert json.loads(words[-1])["content"]
    assert "tok_2" not in text
