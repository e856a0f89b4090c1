"""Settings that all services share. Each service's `settings.py` subclasses `ServiceSettings`."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

MIN_KEY_LENGTH = 32
SECRETS_DIR = "SECRETS_DIR"


class Profile(StrEnum):
    LOCAL = "local"
    PRODUCTION = "production"


class EventsAuth(StrEnum):
    """How the sender of an event proves itself."""

    SERVICE_TOKEN = "service-token"  # noqa: S105  # no secret
    OIDC = "oidc"
    NETWORK = "network"


class ProcessSettings(BaseSettings):
    """What every process of the product needs: where it listens and how it logs.

    A setting may also be a file of the folder SECRETS_DIR, named like the variable; the variable wins."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    profile: Profile = Profile.PRODUCTION
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    log_level: str = "INFO"
    log_format: str = Field(default="json", pattern="^(json|console)$")
    otel_exporter_otlp_endpoint: str = ""
    faults_dir: str = Field(default="", description="where tests arm fault points, see faults.py; local profile only")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        folder = os.environ.get(SECRETS_DIR)
        files = SecretsSettingsSource(settings_cls, secrets_dir=folder) if folder else file_secret_settings
        return init_settings, env_settings, files

    @model_validator(mode="after")
    def check_faults(self) -> Self:
        if self.faults_dir and self.profile is not Profile.LOCAL:
            raise ValueError("FAULTS_DIR is for tests: it needs PROFILE=local")
        return self


class ServiceSettings(ProcessSettings):
    """Settings of a service with a database and neighbours. Bad combinations stop the start with a ValueError."""

    database_url: SecretStr
    database_listen_url: SecretStr = SecretStr("")
    database_role: str = Field(default="", pattern="^[a-z_]*$")
    database_pool_size: int = Field(default=8, ge=1, le=64)
    database_statement_cache: int = Field(default=100, ge=0, description="0 behind pgbouncer in transaction mode")
    metrics_port: int = Field(default=0, ge=0, le=65535, description="0: no metrics port")
    service_token_key: SecretStr
    eventing_enabled: bool = False
    broker_url: str = Field(default="", description="where events are posted; empty: K_SINK")
    k_sink: str = Field(default="", description="set by a Knative SinkBinding")
    broker_token_file: Path | None = Field(default=None, description="OIDC token for the broker; read for each event")
    event_sink_url: str = ""
    events_auth: EventsAuth = EventsAuth.SERVICE_TOKEN
    events_oidc_issuer: str = ""
    events_oidc_audience: str = ""
    events_oidc_jwks_url: str = Field(default="", description="default: found by the issuer's discovery document")
    events_oidc_ca_file: Path | None = Field(default=None, description="authorities to trust for the issuer, as PEM")
    events_oidc_token_file: Path | None = Field(
        default=None, description="bearer token for the issuer's own host; read for each call"
    )
    events_oidc_subjects: str = Field(
        default="", description="who may send, comma separated, `*` at the end; empty: all"
    )
    content_retention_days: float = Field(default=90.0, gt=0, description="what people and agents wrote, after its end")
    record_retention_days: float = Field(default=400.0, gt=0, description="ids, states and times, after the end")
    dead_letter_content_days: float = Field(default=8.0, gt=0, description="a request's deadline and seven days")
    dead_letter_days: float = Field(default=90.0, gt=0, description="cause and ids of what was given up")
    request_manager_url: str = "http://127.0.0.1:8080"
    agent_service_url: str = "http://127.0.0.1:8081"
    integration_dispatcher_url: str = "http://127.0.0.1:8082"

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.record_retention_days <= max(self.content_retention_days, self.dead_letter_days):
            raise ValueError("RECORD_RETENTION_DAYS must be more than CONTENT_RETENTION_DAYS and DEAD_LETTER_DAYS")
        if len(self.service_token_key.get_secret_value()) < MIN_KEY_LENGTH:
            raise ValueError(f"SERVICE_TOKEN_KEY needs at least {MIN_KEY_LENGTH} characters")
        self._check_broker()
        self._check_events_auth()
        return self

    def _check_broker(self) -> None:
        if not self.eventing_enabled:
            return
        if not self.broker_address:
            raise ValueError("EVENTING_ENABLED=true needs BROKER_URL (or K_SINK): the address where events are posted")
        address = urlsplit(self.broker_address)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("BROKER_URL must be an address that begins with http:// or https://")
        if address.username or address.password:
            raise ValueError("BROKER_URL must hold no password: a token for the broker stands in BROKER_TOKEN_FILE")

    def _check_events_auth(self) -> None:
        if self.events_auth is not EventsAuth.SERVICE_TOKEN and not self.eventing_enabled:
            raise ValueError(
                f"EVENTS_AUTH={self.events_auth} is for EVENTING_ENABLED=true: services send no such token"
            )
        if self.events_auth is EventsAuth.OIDC and not (self.events_oidc_issuer and self.events_oidc_audience):
            raise ValueError("EVENTS_AUTH=oidc needs EVENTS_OIDC_ISSUER and EVENTS_OIDC_AUDIENCE")
        is_plain = any(url.startswith("http://") for url in (self.events_oidc_issuer, self.events_oidc_jwks_url))
        if is_plain and self.profile is not Profile.LOCAL:
            raise ValueError("EVENTS_OIDC_ISSUER and EVENTS_OIDC_JWKS_URL must be https outside the local profile")
        if self.events_auth is EventsAuth.NETWORK and self.profile is Profile.LOCAL:
            raise ValueError(
                "EVENTS_AUTH=network needs a NetworkPolicy that admits only the broker: not for PROFILE=local"
            )

    @property
    def broker_address(self) -> str:
        """Where events go when a broker carries them; empty: none is named."""
        return self.broker_url or self.k_sink

    @property
    def facts(self) -> dict[str, str]:
        """What operators are shown of the mode."""
        if not self.eventing_enabled:
            return {"mode": "direct"}
        return {"mode": "eventing", "broker": self.broker_address, "events_auth": self.events_auth.value}

    @property
    def events_oidc_subject_list(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.events_oidc_subjects.split(",") if name.strip())

    @property
    def sink_url(self) -> str:
        """Where this service's own events go: the broker, or in direct mode request-manager's `/events`."""
        if self.event_sink_url:
            return self.event_sink_url
        return self.broker_address if self.eventing_enabled else self.request_manager_url + "/events"


def secret_of_environment(name: str) -> str:
    """For programs without a settings class: the variable, else the file of this name in SECRETS_DIR, else nothing."""
    given = os.environ.get(name, "")
    folder = os.environ.get(SECRETS_DIR)
    if given or not folder:
        return given
    file = Path(folder) / name
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def read_settings[S: ProcessSettings](kind: type[S], program: str) -> S:
    """The settings of the environment; bad ones end the program with a line for each, which names the variable, never its value."""
    try:
        return kind()
    except ValidationError as exc:
        lines = []
        for error in exc.errors(include_url=False, include_context=False, include_input=False):
            name = "_".join(str(part) for part in error["loc"]).upper()
            message = error["msg"].removeprefix("Value error, ")
            lines.append(f"  {name}: {message}" if name else f"  {message}")
        sys.exit("\n".join([f"{program} cannot start:", *lines]))
