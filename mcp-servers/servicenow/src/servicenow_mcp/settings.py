"""The environment of this server: where ServiceNow is, how to sign in, whose identity tokens count."""

from enum import StrEnum
from typing import Self

import httpx
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import SettingsConfigDict
from shared_models.settings import ProcessSettings, Profile
from shared_models.tokens import IdentityVerifier

from servicenow_mcp.access import Access, ApiKey, Basic, OAuth

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class AuthType(StrEnum):
    API_KEY = "api_key"
    BASIC = "basic"
    OAUTH = "oauth"


class ServiceNowSettings(ProcessSettings):
    """What is needed to reach ServiceNow; all that the doctor needs. Half-set credentials are a ValueError."""

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    servicenow_instance_url: str
    servicenow_auth_type: AuthType = AuthType.API_KEY
    servicenow_api_key: SecretStr = SecretStr("")
    servicenow_api_key_header: str = Field(default="x-sn-apikey", pattern="^[A-Za-z0-9-]{1,64}$")
    servicenow_username: str = ""
    servicenow_password: SecretStr = SecretStr("")
    servicenow_client_id: str = ""
    servicenow_client_secret: SecretStr = SecretStr("")
    servicenow_token_url: str = ""
    servicenow_laptop_refresh_id: str = Field(
        pattern="^[0-9a-f]{32}$", description="the sys_id of the catalogue item 'laptop refresh'"
    )
    servicenow_timeout: float = Field(default=10.0, gt=0, le=60, description="seconds for one call with its repeats")

    @model_validator(mode="after")
    def check(self) -> Self:
        needed = {
            AuthType.API_KEY: {"SERVICENOW_API_KEY": self.servicenow_api_key.get_secret_value()},
            AuthType.BASIC: {
                "SERVICENOW_USERNAME": self.servicenow_username,
                "SERVICENOW_PASSWORD": self.servicenow_password.get_secret_value(),
            },
            AuthType.OAUTH: {
                "SERVICENOW_CLIENT_ID": self.servicenow_client_id,
                "SERVICENOW_CLIENT_SECRET": self.servicenow_client_secret.get_secret_value(),
            },
        }[self.servicenow_auth_type]
        missing = [name for name, given in needed.items() if not given]
        if missing:
            raise ValueError(f"SERVICENOW_AUTH_TYPE={self.servicenow_auth_type} needs {' and '.join(missing)}")
        for url in (self.base_url, self.token_url):
            _check_url(url, is_local=self.profile is Profile.LOCAL)
        return self

    @property
    def base_url(self) -> str:
        return self.servicenow_instance_url.rstrip("/")

    @property
    def token_url(self) -> str:
        return self.servicenow_token_url or f"{self.base_url}/oauth_token.do"

    def access(self) -> Access:
        match self.servicenow_auth_type:
            case AuthType.API_KEY:
                return ApiKey(self.servicenow_api_key_header, self.servicenow_api_key)
            case AuthType.BASIC:
                return Basic(self.servicenow_username, self.servicenow_password)
            case AuthType.OAUTH:
                return OAuth(self.token_url, self.servicenow_client_id, self.servicenow_client_secret)


class Settings(ServiceNowSettings):
    """`identity_public_key`: base64 of the raw 32-byte Ed25519 public key of agent-service."""

    port: int = Field(default=8090, ge=0, le=65535)
    metrics_port: int = Field(default=0, ge=0, le=65535, description="0: no metrics port")
    identity_public_key: str

    @field_validator("identity_public_key")
    @classmethod
    def check_key(cls, key: str) -> str:
        try:
            IdentityVerifier(key, server="servicenow")
        except ValueError as exc:
            raise ValueError("must be the base64 of the 32 bytes of an Ed25519 public key") from exc
        return key


def complaint(exc: ValidationError) -> str:
    """Return what is wrong with the environment in one line that names the variables, never their values."""
    named = (f"{'.'.join(str(part) for part in error['loc']).upper()}: {error['msg']}" for error in exc.errors())
    return "; ".join(each.removeprefix(": ") for each in named)


def _check_url(url: str, *, is_local: bool) -> None:
    """Credentials go to https only; plain http is for a stand-in on this machine or in the local profile."""
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo or parsed.query:
        raise ValueError("SERVICENOW_INSTANCE_URL must look like https://example.service-now.com")
    if parsed.scheme == "http" and not is_local and parsed.host not in LOOPBACK:
        raise ValueError("SERVICENOW_INSTANCE_URL must use https")
