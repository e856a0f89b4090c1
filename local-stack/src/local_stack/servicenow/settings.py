"""The environment of the stand-in. At least one way to sign in must be set: it is as closed as the real one."""

from typing import Self

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class StandinSettings(BaseSettings):
    """`control_token`: lets tests script faults over HTTP; without it that route does not exist."""

    model_config = SettingsConfigDict(env_prefix="SERVICENOW_STANDIN_", extra="ignore", frozen=True)

    api_key: SecretStr = SecretStr("")
    api_key_header: str = "x-sn-apikey"
    username: str = ""
    password: SecretStr = SecretStr("")
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    control_token: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def check(self) -> Self:
        pairs = ((self.username, self.password), (self.client_id, self.client_secret))
        if not self.api_key.get_secret_value() and not any(name and word.get_secret_value() for name, word in pairs):
            raise ValueError("set SERVICENOW_STANDIN_API_KEY, or a user name and password, or a client id and secret")
        return self
