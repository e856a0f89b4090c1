"""Bad combinations of the settings of events stop the start, in words that name the variable."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from shared_models.settings import ServiceSettings, read_settings, secret_of_environment

GOOD: dict[str, Any] = {"database_url": "postgresql://u:hunter2@h/d", "service_token_key": "k" * 32}
BROKER = "http://broker.test/ns/default"
EVENTING = {"eventing_enabled": True, "broker_url": BROKER}
OIDC = EVENTING | {"events_auth": "oidc", "events_oidc_issuer": "https://i.test", "events_oidc_audience": "a"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"eventing_enabled": True}, "EVENTING_ENABLED=true needs BROKER_URL"),
        ({"eventing_enabled": True, "broker_url": "broker.test"}, "BROKER_URL must be an address"),
        ({"eventing_enabled": True, "broker_url": "ftp://broker.test/"}, "BROKER_URL must be an address"),
        (
            {"eventing_enabled": True, "broker_url": "http://me:hunter2@broker.test/"},
            "BROKER_URL must hold no password",
        ),
        ({"events_auth": "network"}, "EVENTS_AUTH=network is for EVENTING_ENABLED=true"),
        (EVENTING | {"events_auth": "network", "profile": "local"}, "NetworkPolicy"),
        (EVENTING | {"events_auth": "oidc"}, "EVENTS_OIDC_ISSUER and EVENTS_OIDC_AUDIENCE"),
        (OIDC | {"events_oidc_audience": ""}, "EVENTS_OIDC_ISSUER and EVENTS_OIDC_AUDIENCE"),
        (OIDC | {"events_oidc_issuer": "http://i.test"}, "https"),
        (OIDC | {"events_oidc_jwks_url": "http://i.test/keys"}, "https"),
    ],
)
def test_what_does_not_go_together_stops_the_start(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        ServiceSettings(**GOOD | more)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("more", [{}, EVENTING, OIDC, EVENTING | {"events_auth": "network"}])
def test_what_goes_together_starts(more: dict[str, Any]) -> None:
    assert ServiceSettings(**GOOD | more).database_url == SecretStr(GOOD["database_url"])


def test_events_go_to_the_broker_or_to_what_knative_has_bound() -> None:
    assert ServiceSettings(**GOOD | EVENTING | {"k_sink": "http://other.test/"}).sink_url == BROKER
    assert ServiceSettings(**GOOD, eventing_enabled=True, k_sink="http://sink.test/").sink_url == "http://sink.test/"
    assert ServiceSettings(**GOOD, k_sink="http://sink.test/").sink_url == "http://127.0.0.1:8080/events"


def test_operators_are_shown_the_mode_and_the_broker() -> None:
    assert ServiceSettings(**GOOD).facts == {"mode": "direct"}
    assert ServiceSettings(**GOOD | OIDC).facts == {"mode": "eventing", "broker": BROKER, "events_auth": "oidc"}


def test_a_refused_start_names_each_variable_and_shows_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("SERVICE_TOKEN_KEY", "k" * 32)
    monkeypatch.setenv("EVENTING_ENABLED", "true")
    with pytest.raises(SystemExit) as stopped:
        read_settings(ServiceSettings, "agent-service")
    assert str(stopped.value).splitlines() == [
        "agent-service cannot start:",
        "  EVENTING_ENABLED=true needs BROKER_URL (or K_SINK): the address where events are posted",
    ]
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DATABASE_POOL_SIZE", "hunter2")
    with pytest.raises(SystemExit) as stopped:
        read_settings(ServiceSettings, "agent-service")
    words = str(stopped.value)
    assert "DATABASE_URL: Field required" in words
    assert "DATABASE_POOL_SIZE" in words
    assert "hunter2" not in words


def test_a_secret_may_be_a_file_and_the_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "DATABASE_URL").write_text("postgresql://from-a-file/d\n")
    (tmp_path / "SERVICE_TOKEN_KEY").write_text("f" * 32)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("SERVICE_TOKEN_KEY", "v" * 32)
    settings = read_settings(ServiceSettings, "some-service")
    assert settings.database_url == SecretStr("postgresql://from-a-file/d")
    assert settings.service_token_key == SecretStr("v" * 32)
    assert secret_of_environment("DATABASE_URL") == "postgresql://from-a-file/d"
    assert secret_of_environment("SERVICE_TOKEN_KEY") == "v" * 32
    assert secret_of_environment("SECRETS_KEY") == ""
