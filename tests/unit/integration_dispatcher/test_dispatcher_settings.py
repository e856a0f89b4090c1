"""The environment of integration-dispatcher."""

import base64
import os

import pytest
from integration_dispatcher.settings import Settings
from pydantic import ValidationError
from shared_models.enums import IntegrationType

KEY = base64.b64encode(os.urandom(32)).decode()
NEEDED = {
    "DATABASE_URL": "postgresql://localhost/x",
    "SERVICE_TOKEN_KEY": "k" * 32,
    "SECRETS_KEY": KEY,
}


@pytest.fixture(autouse=True)
def needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("INTEGRATION_DEFAULTS_", "WEBHOOK_", "DELIVERY_", "PROFILE", "SECRETS_")):
            monkeypatch.delenv(name)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def test_the_environment_gives_base_defaults_by_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEGRATION_DEFAULTS_WEBHOOK_RETRY_COUNT", "4")
    monkeypatch.setenv("INTEGRATION_DEFAULTS_WEBHOOK_RETRY_DELAY_SECONDS", "0.5")
    monkeypatch.setenv("INTEGRATION_DEFAULTS_TEST_ENABLED", "false")
    defaults = Settings().integration_defaults
    assert (defaults[IntegrationType.WEBHOOK].retry_count, defaults[IntegrationType.WEBHOOK].enabled) == (4, None)
    assert defaults[IntegrationType.WEBHOOK].retry_delay_seconds == 0.5
    assert defaults[IntegrationType.TEST].enabled is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INTEGRATION_DEFAULTS_PIGEON_ENABLED", "true"),
        ("INTEGRATION_DEFAULTS_WEBHOOK_ENABLD", "true"),
        ("INTEGRATION_DEFAULTS_WEBHOOK_PRIORITY", "0"),
        ("SECRETS_KEY", "c2hvcnQ="),
        ("SECRETS_KEY", "no base64!"),
        ("SECRETS_PREVIOUS_KEYS", "c2hvcnQ="),
        ("SERVICE_TOKEN_KEY", "short"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/99"),
    ],
)
def test_a_bad_value_stops_the_start_without_showing_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    if "KEY" in name:
        assert value not in str(caught.value)


def test_a_missing_key_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRETS_KEY")
    with pytest.raises(ValidationError, match="secrets_key"):
        Settings()


def test_lists_are_read_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_ALLOWED_HOSTS", "Hooks.Corp.internal, other.internal")
    monkeypatch.setenv("WEBHOOK_ALLOWED_NETWORKS", "10.1.0.0/16, fd00::/8")
    monkeypatch.setenv("SECRETS_PREVIOUS_KEYS", KEY)
    settings = Settings()
    assert settings.address_policy.allowed_hosts == {"hooks.corp.internal", "other.internal"}
    assert len(settings.address_policy.allowed_networks) == 2
    assert settings.address_policy.https_only
    assert len(settings.keys) == 2
