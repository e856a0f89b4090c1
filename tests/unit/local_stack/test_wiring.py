"""Which model answers, and what every program is told."""

import json
import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest
from local_stack.access import Access
from local_stack.farewell import farewell
from local_stack.problems import LaunchProblem
from local_stack.settings import UpSettings
from local_stack.stand_ins import StandIns
from local_stack.state import Secrets
from local_stack.wiring import Ports, Wiring, choose_broker, choose_model


def settings(**given: str) -> UpSettings:
    """Settings from these values alone, whatever the environment says."""
    return UpSettings.model_validate(given)


PORTS = Ports.of(settings())
ACCESS = Access("http://127.0.0.1:8080", "tok_1", "tok_2")


def wiring(tmp_path: Path, **given: str) -> Wiring:
    model, broker = choose_model(settings(), PORTS), choose_broker(settings(**given), PORTS)
    return Wiring(PORTS, Secrets.generate(), model, tmp_path, "postgresql://u:hush@127.0.0.1/x", broker)


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


def told(programs: Wiring) -> set[tuple[str, str]]:
    """What the services are told about the way of their messages."""
    return {(each.env["EVENTING_ENABLED"], each.env["BROKER_URL"]) for each in programs.services()}


def test_without_eventing_no_service_hears_of_a_broker(tmp_path: Path) -> None:
    direct = wiring(tmp_path, broker_url="http://broker.example/ns/default")
    assert told(direct) == {("false", "")}
    assert "by direct HTTP" in farewell(direct, ACCESS, ready_s=1)
    with pytest.raises(LaunchProblem, match="no broker of our own"):
        direct.local_broker()


def test_with_eventing_every_service_sends_to_the_local_broker_which_knows_their_addresses(tmp_path: Path) -> None:
    eventing = wiring(tmp_path, eventing_enabled="true")
    ingress = f"http://127.0.0.1:{PORTS.broker}/default/self-service-agent"
    assert told(eventing) == {("true", ingress)}
    broker, services = eventing.local_broker(), eventing.services()
    assert (broker.url, broker.ready_path) == (f"http://127.0.0.1:{PORTS.broker}", "/readyz")
    for each in services:
        assert broker.env[each.name.upper().replace("-", "_") + "_URL"] == each.url
        assert broker.env["SERVICE_TOKEN_KEY"] == each.env["SERVICE_TOKEN_KEY"]
    assert f"stand-in for Knative's, at {ingress}" in farewell(eventing, ACCESS, ready_s=1)


def test_with_eventing_and_an_own_broker_none_of_ours_is_started(tmp_path: Path) -> None:
    url = "https://broker.example/ns/default"
    eventing = wiring(tmp_path, eventing_enabled="true", broker_url=url)
    assert told(eventing) == {("true", url)}
    assert not eventing.has_own_broker
    assert url in farewell(eventing, ACCESS, ready_s=1)


@pytest.mark.parametrize("url", ["broker.example", "kafka://broker.example:9092", "http:///ns/default"])
def test_a_broker_without_an_http_address_is_refused_with_the_fix(url: str) -> None:
    with pytest.raises(LaunchProblem, match="set it to the broker's ingress"):
        choose_broker(settings(eventing_enabled="true", broker_url=url), PORTS)


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
    text = farewell(wiring(tmp_path), ACCESS, ready_s=3.21)
    line = next(line for line in text.splitlines() if line.strip().startswith("curl"))
    words = shlex.split(line)
    assert words[2] == "http://127.0.0.1:8080/api/v1/requests/cli"
    assert "Authorization: Bearer tok_1" in words
    assert json.loads(words[-1])["content"]
    assert "tok_2" not in text


def test_the_slack_stand_in_and_the_dispatcher_know_each_other(tmp_path: Path) -> None:
    alone = wiring(tmp_path)
    assert alone.integrations() == []
    assert "SLACK_BOT_TOKEN" not in alone.integration_dispatcher().env
    both = replace(alone, stand_ins=StandIns.of(settings()))
    [slack, *_], dispatcher = both.integrations(), both.integration_dispatcher()
    assert dispatcher.env["SLACK_API_URL"] == f"{slack.url}/api/"
    assert slack.env["SLACK_STANDIN_APP_URL"] == dispatcher.url
    for name in ("SIGNING_SECRET", "BOT_TOKEN"):
        assert slack.env[f"SLACK_STANDIN_{name}"] == dispatcher.env[f"SLACK_{name}"]
    assert f"{slack.url} (open it in a browser)" in farewell(both, ACCESS, ready_s=1)


def test_a_real_workspace_takes_the_place_of_the_stand_in(tmp_path: Path) -> None:
    assert not StandIns.of(settings(slack_bot_token="xoxb-real")).slack


def test_the_sms_stand_in_and_the_dispatcher_know_each_other(tmp_path: Path) -> None:
    both = replace(wiring(tmp_path), stand_ins=StandIns.of(settings()))
    phones, dispatcher = both.integrations()[-1], both.integration_dispatcher()
    assert dispatcher.env["SMS_API_URL"] == phones.url
    assert dispatcher.env["SMS_CALLBACK_URL"] == dispatcher.url
    assert phones.env["SMS_STANDIN_INBOUND_URL"] == f"{dispatcher.url}/sms/inbound"
    assert phones.env["SMS_STANDIN_AUTH_TOKEN"] == dispatcher.env["SMS_AUTH_TOKEN"]
    shown = farewell(both, ACCESS, ready_s=1)
    assert f"{phones.url} (open it in a browser)" in shown
    assert f"{phones.url}/webhooks/ (open it in a browser)" in shown


def test_with_a_real_sms_account_the_webhook_inbox_alone_is_left(tmp_path: Path) -> None:
    real = StandIns.of(settings(sms_account_sid="AC1", slack_bot_token="xoxb-real"))
    assert real.phones
    assert not real.sms
    assert "SMS_API_URL" not in replace(wiring(tmp_path), stand_ins=real).integration_dispatcher().env


def test_the_mail_stand_in_and_the_dispatcher_know_each_other(tmp_path: Path) -> None:
    both = replace(wiring(tmp_path), stand_ins=StandIns(mail=True))
    [mail], dispatcher = both.integrations(), both.integration_dispatcher()
    assert "hush" not in repr(mail)
    for kind in ("SMTP", "IMAP"):
        assert dispatcher.env[f"{kind}_PASSWORD"] == mail.env["MAIL_STANDIN_PASSWORD"]
        assert dispatcher.env[f"{kind}_PORT"] == mail.command[mail.command.index(f"--{kind.lower()}-port") + 1]
    assert f"{mail.url} (open it in a browser)" in farewell(both, ACCESS, ready_s=1)


def test_a_real_mail_server_takes_the_place_of_the_stand_in(tmp_path: Path) -> None:
    assert not StandIns.of(settings(smtp_host="mail.example.com")).mail
