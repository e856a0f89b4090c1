"""The environment of the local broker."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from local_stack.broker.manifests import Mode

RELEASE = "self-service-agent-"
"""What the chart puts in front of the names of its Services, by the name of the release."""

SHIPPED_MANIFESTS = Path(__file__).with_name("manifests.yaml")


class BrokerSettings(BaseSettings):
    """`broker_subscribers`: base URLs of further Services by name, JSON. `broker_control`: serve /control, for tests."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    database_url: SecretStr
    service_token_key: SecretStr = Field(min_length=32)
    request_manager_url: str = "http://127.0.0.1:8080"
    agent_service_url: str = "http://127.0.0.1:8081"
    integration_dispatcher_url: str = "http://127.0.0.1:8082"
    broker_subscribers: dict[str, str] = {}
    broker_manifests: Path = SHIPPED_MANIFESTS
    broker_mode: Mode = Mode.KAFKA
    broker_control: bool = False
    faults_dir: str = Field(default="", description="where tests arm fault points, see shared_models.faults")
    log_level: str = "INFO"
    log_format: str = Field(default="json", pattern="^(json|console)$")

    def subscribers(self) -> dict[str, str]:
        """The base URL of each Service that a `ref` may name, by the name that the chart gives it."""
        return {
            RELEASE + "request-manager": self.request_manager_url,
            RELEASE + "agent-service": self.agent_service_url,
            RELEASE + "integration-dispatcher": self.integration_dispatcher_url,
        } | self.broker_subscribers
