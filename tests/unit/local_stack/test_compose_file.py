"""docker-compose.yml without an engine: it is closed, whole, and every program finds its settings in it."""

import os
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from agent_service.settings import Settings as AgentServiceSettings
from integration_dispatcher.settings import Settings as DispatcherSettings
from local_stack.broker.settings import BrokerSettings
from local_stack.compose.secrets import OWN, write
from local_stack.mail.settings import MailSettings
from local_stack.mail.wiring import AGENT_ADDRESS, AUTHSERV_ID
from local_stack.servicenow.demo import demo_person
from local_stack.servicenow.settings import StandinSettings
from local_stack.settings import REPOSITORY
from local_stack.slack.settings import SlackStandinSettings
from local_stack.sms.settings import SmsStandinSettings
from pydantic_settings import BaseSettings
from request_manager.settings import RequestManagerSettings
from servicenow_mcp.settings import Settings as McpSettings

type Service = dict[str, Any]

FILE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, Service] = FILE["services"]
MOUNTED_AT = "/run/secrets/ssa"
SETTINGS: dict[str, type[BaseSettings]] = {
    "request-manager": RequestManagerSettings,
    "agent-service": AgentServiceSettings,
    "integration-dispatcher": DispatcherSettings,
    "servicenow-mcp": McpSettings,
    "broker": BrokerSettings,
    "servicenow": StandinSettings,
    "slack": SlackStandinSettings,
    "mail": MailSettings,
    "phones": SmsStandinSettings,
}
# What the Containerfiles say; the other programs are told theirs in the file.
IMAGE_PORTS = {
    "request-manager": "8080",
    "agent-service": "8081",
    "integration-dispatcher": "8082",
    "servicenow-mcp": "8090",
    "ogx": "8321",
}

every_service = pytest.mark.parametrize("name", SERVICES)


def mounts(name: str) -> list[tuple[str, str, str]]:
    """(volume, folder, options) of each."""
    found = []
    for line in SERVICES[name].get("volumes", []):
        volume, folder, *options = line.split(":")
        found.append((volume, folder, "".join(options)))
    return found


def secret_folders(name: str) -> list[str]:
    """The names of the folders that compose/secrets.py writes for this container."""
    return [volume.removeprefix("secrets-") for volume, folder, _ in mounts(name) if folder == MOUNTED_AT]


def environment(name: str) -> dict[str, str]:
    """As compose gives it where nothing is set: the defaults of ${NAME:-default}."""
    given = SERVICES[name].get("environment", {})
    return {key: re.sub(r"\$\{\w+(?::-([^}]*))?\}", lambda found: found[1] or "", text) for key, text in given.items()}


def read(name: str, root: Path) -> BaseSettings:
    """The settings of this container's program, from its environment and its files alone."""
    [folder] = secret_folders(name)
    files = str(root / folder)
    with patch.dict(os.environ, environment(name) | {"SECRETS_DIR": files}, clear=True):
        return SETTINGS[name](_secrets_dir=files)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, eventing=False)
    return tmp_path


@every_service
def test_a_container_may_write_nothing_and_has_no_rights_and_limits(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert not {"privileged", "cap_add", "pid", "ipc", "devices", "user"} & set(service)
    assert service.get("network_mode", "none") in ("none", "service:request-manager")


@every_service
def test_a_port_is_published_on_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+_PORT:-(\d+)\}:\1", port), port


def test_no_two_ports_are_the_same() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(set(ports)) == len(ports)


def test_every_volume_is_declared_and_every_declared_one_is_used() -> None:
    used = {volume for name in SERVICES for volume, _, _ in mounts(name)}
    assert used == set(FILE["volumes"])


@every_service
def test_a_container_reads_the_secrets_of_one_folder_and_changes_none(name: str) -> None:
    folders = [(volume, options) for volume, folder, options in mounts(name) if folder == MOUNTED_AT]
    assert all(options == "ro" for _, options in folders)
    assert bool(folders) == ("SECRETS_DIR" in environment(name))
    assert len(folders) <= 1


def test_each_folder_of_secrets_is_written_and_mounted_and_in_the_image(root: Path) -> None:
    written = {each.name for each in root.iterdir()}
    assert written == {OWN} | {folder for name in SERVICES for folder in secret_folders(name)}
    for name in ("secrets", "eventing"):
        assert {folder: volume for volume, folder, _ in mounts(name)} == {
            f"/secrets/{each}": each if each == OWN else f"secrets-{each}" for each in written
        }
    [line] = re.findall(r"for name in ([a-z -]+);", (REPOSITORY / "local-stack/Containerfile").read_text())
    assert set(line.split()) == written, "a volume gets its owner from the folder in the image"


def test_whoever_has_secrets_is_asked_whether_they_are_all_there() -> None:
    tools = {"migrations", "access", "postgres"}
    assert {name for name in SERVICES if secret_folders(name)} - tools == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_program_finds_all_its_settings(name: str, root: Path) -> None:
    settings = read(name, root)
    known = {
        setting if setting.startswith(prefix) else f"{prefix}{setting}"
        for setting in type(settings).model_fields
        for prefix in [str(type(settings).model_config.get("env_prefix", "")).lower()]
    }
    files = {file.name.lower() for file in (root / secret_folders(name)[0]).iterdir()}
    assert files - known <= {"eventing_enabled"}, "a secret that nobody reads"
    missing = [setting for setting, field in type(settings).model_fields.items() if field.is_required()]
    assert all(getattr(settings, setting) for setting in missing)


def test_the_dispatcher_and_the_stand_ins_agree(root: Path) -> None:
    dispatcher, mail = read("integration-dispatcher", root), read("mail", root)
    phones, slack = read("phones", root), read("slack", root)
    assert isinstance(dispatcher, DispatcherSettings)
    assert isinstance(mail, MailSettings)
    assert isinstance(phones, SmsStandinSettings)
    assert isinstance(slack, SlackStandinSettings)

    assert (dispatcher.slack_bot_token, dispatcher.slack_signing_secret) == (slack.bot_token, slack.signing_secret)

    assert dispatcher.smtp_password == dispatcher.imap_password == mail.password
    assert dispatcher.smtp_username == dispatcher.imap_username == mail.agent_address == AGENT_ADDRESS
    assert dispatcher.smtp_from == f"IT Help <{AGENT_ADDRESS}>"
    assert dispatcher.email_trusted_authserv_id == AUTHSERV_ID
    assert mail.known_people == [demo_person().email]
    assert dispatcher.smtp_host == dispatcher.imap_host == "mail"
    command = SERVICES["mail"]["command"]
    assert command[command.index("--smtp-port") + 1] == str(dispatcher.smtp_port)
    assert command[command.index("--imap-port") + 1] == str(dispatcher.imap_port)

    account = dispatcher.sms
    assert account is not None
    assert (account.account_sid, account.sender) == (phones.account_sid, phones.number)
    assert account.auth_token == phones.auth_token.get_secret_value()
    assert phones.inbound_url == f"{account.callback_url}/sms/inbound"
    assert dispatcher.address_policy.check_url(f"{phones.receivers_url}/hooks/alice").host == "phones"


@every_service
def test_an_address_of_a_container_is_one_with_a_program_at_that_port(name: str) -> None:
    for host, port in re.findall(r"http://([a-z][a-z-]*):(\d+)", " ".join(environment(name).values())):
        service = SERVICES[host]
        shared = set(service["networks"]) & set(SERVICES[name]["networks"])
        assert shared, f"{name} does not reach {host}"
        listens = {service.get("environment", {}).get("PORT"), IMAGE_PORTS.get(host)}
        assert port in listens, f"{host}:{port}"
