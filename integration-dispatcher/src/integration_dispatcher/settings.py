"""Settings of integration-dispatcher: the only file here that names environment variables."""

import base64
import binascii
import ipaddress
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict
from shared_models.enums import IntegrationType
from shared_models.settings import Profile, ServiceSettings

from integration_dispatcher.domain.addresses import AddressPolicy
from integration_dispatcher.settings_email import EmailSettings
from integration_dispatcher.settings_slack import SlackSettings
from integration_dispatcher.settings_sms import SmsSettings

KEY_BYTES = 32


class GivenDefaults(BaseModel):
    """What the environment says about one integration; None: the handler's own value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool | None = None
    priority: int | None = Field(default=None, ge=1, le=100)
    retry_count: int | None = Field(default=None, ge=0, le=20)
    retry_delay_seconds: float | None = Field(default=None, ge=0, le=86_400)


class Settings(EmailSettings, SlackSettings, SmsSettings, ServiceSettings):
    """INTEGRATION_DEFAULTS_<TYPE>_ENABLED, _PRIORITY, _RETRY_COUNT and _RETRY_DELAY_SECONDS fill `integration_defaults`.

    WEBHOOK_ALLOWED_HOSTS and WEBHOOK_ALLOWED_NETWORKS (comma separated) name receivers that need not be public."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, env_nested_delimiter="_", env_nested_max_split=2, hide_input_in_errors=True
    )

    port: int = Field(default=8082, ge=0, le=65535)
    secrets_key: SecretStr = Field(description="base64 of 32 bytes: encrypts stored secrets")
    secrets_previous_keys: SecretStr = Field(default=SecretStr(""), description="comma separated: still decrypt")
    integration_defaults: dict[IntegrationType, GivenDefaults] = Field(default_factory=dict)
    webhook_timeout_s: float = Field(default=15.0, gt=0, le=60)
    webhook_allowed_hosts: str = ""
    webhook_allowed_networks: str = ""
    public_url: str = Field(default="", description="where people reach request-manager, for links in messages")
    delivery_fallback_after_s: float = Field(default=300.0, ge=1)
    delivery_concurrency: int = Field(default=64, ge=1, le=1000)
    delivery_sweep_every_s: float = Field(default=5.0, gt=0)
    integration_check_every_s: float = Field(default=60.0, ge=1, description="between checks of a provider's account")

    @model_validator(mode="after")
    def check_values(self) -> Self:
        for key in self.keys:
            if len(key) != KEY_BYTES:
                raise ValueError(f"SECRETS_KEY and SECRETS_PREVIOUS_KEYS are base64 of {KEY_BYTES} bytes")
        _ = self.address_policy
        if not self.is_local:
            self.check_encryption()
        return self

    @property
    def is_local(self) -> bool:
        return self.profile is Profile.LOCAL

    @property
    def keys(self) -> list[bytes]:
        """The keys of stored secrets, the present one first. Raises ValueError."""
        texts = [self.secrets_key.get_secret_value(), *_listed(self.secrets_previous_keys.get_secret_value())]
        try:
            return [base64.b64decode(text, validate=True) for text in texts]
        except binascii.Error as exc:
            raise ValueError("SECRETS_KEY and SECRETS_PREVIOUS_KEYS are base64") from exc

    @property
    def address_policy(self) -> AddressPolicy:
        """Where webhooks may go. Raises ValueError for a network that cannot be read."""
        return AddressPolicy(
            https_only=not self.is_local,
            allowed_hosts=frozenset(host.lower() for host in _listed(self.webhook_allowed_hosts)),
            allowed_networks=tuple(ipaddress.ip_network(each) for each in _listed(self.webhook_allowed_networks)),
        )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
