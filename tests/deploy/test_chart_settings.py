"""The settings that the chart sets are those of the programs: each exists, and with them each program would start."""

import base64
import os
from pathlib import Path

import pytest
from agent_service.settings import Settings as AgentServiceSettings
from integration_dispatcher.settings import Settings as DispatcherSettings
from request_manager.settings import RequestManagerSettings
from servicenow_mcp.settings import Settings as ServiceNowSettings
from shared_models.settings import SECRETS_DIR, ProcessSettings, read_settings
from shared_models.tokens import new_identity_key_pair

from tests.support.chart import VALUES, Object, containers_of, of_kind, pods_of, rendered
from tests.support.helm import CHART

PROGRAMS: dict[str, type[ProcessSettings]] = {
    "request-manager": RequestManagerSettings,
    "agent-service": AgentServiceSettings,
    "integration-dispatcher": DispatcherSettings,
    "servicenow-mcp": ServiceNowSettings,
}
PRIVATE, PUBLIC = new_identity_key_pair()
GOOD_SECRETS = {
    "DATABASE_URL": "postgresql://ssa:secret@db:5432/ssa",
    "SERVICE_TOKEN_KEY": "k" * 32,
    "IDENTITY_SIGNING_KEY": PRIVATE,
    "IDENTITY_PUBLIC_KEY": PUBLIC,
    "SECRETS_KEY": base64.b64encode(bytes(32)).decode(),
}
USERS_OWN = {"A"}  # tests/deploy/values-everything.yaml


def programs(name: str) -> list[tuple[type[ProcessSettings], Object, list[Object]]]:
    """Settings class, container and volumes of each program that the values bring about."""
    return [
        (PROGRAMS[box["name"]], box, pod["volumes"])
        for _, pod in pods_of(of_kind(rendered(name), "Deployment"))
        for box in containers_of(pod)
        if box["name"] in PROGRAMS
    ]


def variables(box: Object) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in box["env"]}


def secrets(volumes: list[Object]) -> dict[str, bool]:
    """Name of each file of the Secret, and whether the Secret must have it."""
    [volume] = [each for each in volumes if each["name"] == "secrets"]
    return {
        item["path"]: not source["secret"].get("optional", False)
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }


@pytest.mark.parametrize("name", VALUES)
def test_each_variable_and_each_secret_is_a_setting_of_its_program(name: str) -> None:
    for kind, box, volumes in programs(name):
        known = {field.upper() for field in kind.model_fields} | {SECRETS_DIR} | USERS_OWN
        assert set(variables(box)) <= known, box["name"]
        assert set(secrets(volumes)) <= known, box["name"]


@pytest.mark.parametrize("name", VALUES)
def test_each_program_starts_with_the_settings_that_it_is_given(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A setting that is required and not set would stop it, and so would a bad combination."""
    for kind, box, volumes in programs(name):
        folder = tmp_path / box["name"]
        folder.mkdir()
        for secret, is_needed in secrets(volumes).items():
            if is_needed:
                (folder / secret).write_text(GOOD_SECRETS.get(secret, "some secret"))
        for variable in os.environ:
            monkeypatch.delenv(variable)
        for variable, value in variables(box).items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv(SECRETS_DIR, str(folder))
        settings = read_settings(kind, box["name"])
        assert settings.port == box["ports"][0]["containerPort"]
        assert settings.host == "0.0.0.0"


def test_without_one_of_its_secrets_a_program_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [(kind, box, _)] = [each for each in programs("three values") if each[1]["name"] == "request-manager"]
    for variable, value in variables(box).items():
        monkeypatch.setenv(variable, value)
    (tmp_path / "DATABASE_URL").write_text(GOOD_SECRETS["DATABASE_URL"])
    monkeypatch.setenv(SECRETS_DIR, str(tmp_path))
    with pytest.raises(SystemExit, match="SERVICE_TOKEN_KEY"):
        read_settings(kind, "request-manager")


def test_the_readme_lists_every_key_of_the_secret() -> None:
    page = (CHART / "README.md").read_text(encoding="utf-8")
    named = {secret for name in VALUES for _, _, volumes in programs(name) for secret in secrets(volumes)}
    assert [secret for secret in sorted(named) if f"| `{secret}` |" not in page] == []
    schema = (CHART / "values.schema.json").read_text(encoding="utf-8")
    assert [secret for secret in sorted(named) if f'"{secret}"' not in schema] == []


def test_another_key_of_the_secret_becomes_the_file_of_the_setting() -> None:
    for _, pod in pods_of(of_kind(rendered("everything of a pod"), "Deployment", "Job")):
        [volume] = [each for each in pod["volumes"] if each["name"] == "secrets"]
        items = volume["projected"]["sources"][0]["secret"]["items"]
        assert {"key": "url", "path": "DATABASE_URL"} in items
