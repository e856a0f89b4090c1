"""Settings that all services share. Each service's `settings.py` subclasses `ServiceSettings`."""

from enum import StrEnum
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_KEY_LENGTH = 32


class Profile(StrEnum):
    LOCAL = "local"
    PRODUCTION = "production"


class ProcessSettings(BaseSettings):
    """What every process of the product needs: where it listens and how it logs."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    profile: Profile = Profile.PRODUCTION
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    log_level: str = "INFO"
    log_format: str = Field(default="json", pattern="^(json|console)$")
    otel_exporter_otlp_endpoint: str = ""
    faults_dir: str = Field(default="", description="where tests arm fault points, see faults.py; local profile only")

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
    broker_url: str = ""
    event_sink_url: str = ""
    request_manager_url: str = "http://127.0.0.1:8080"
    agent_service_url: str = "http://127.0.0.1:8081"
    integration_dispatcher_url: str = "http://127.0.0.1:8082"

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.eventing_enabled and not self.broker_url:
            raise ValueError("EVENTING_ENABLED=true needs BROKER_URL")
        if len(self.service_token_key.get_secret_value()) < MIN_KEY_LENGTH:
            raise ValueError(f"SERVICE_TOKEN_KEY needs at least {MIN_KEY_LENGTH} characters")
        return self

    @property
    def sink_url(self) -> str:
        """Where this service's own events go: the broker, or in direct mode request-manager's `/events`."""
        if self.event_sink_url:
            return self.event_sink_url
        return self.broker_url if self.eventing_enabled else self.request_manager_url + "/events"
