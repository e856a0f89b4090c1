"""The environment of the SMS stand-in, and what both sides must know of it."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ACCOUNT_SID = "AC" + "5" * 32
NUMBER = "+14155550199"


class SmsStandinSettings(BaseSettings):
    """`inbound_url`: where a person's text is told, as it is set at the provider for a number. `control_token`: lets tests
    script faults over HTTP; without it that route does not exist. `receivers_url`: where the product reaches the webhook inbox;
    empty: where its page is. `report_every_s`: the pause between two reports."""

    model_config = SettingsConfigDict(env_prefix="SMS_STANDIN_", extra="ignore", frozen=True)

    account_sid: str = ACCOUNT_SID
    auth_token: SecretStr
    number: str = NUMBER
    inbound_url: str = ""
    receivers_url: str = ""
    control_token: SecretStr = SecretStr("")
    report_every_s: float = Field(default=0.3, ge=0)
    max_per_minute: int = Field(default=60, ge=1, description="messages to one number")
