"""Settings of SMS, a part of settings.py. Without SMS_ACCOUNT_SID, SMS_AUTH_TOKEN and SMS_FROM there is no SMS."""

import re
from dataclasses import dataclass, field
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

# A number, or a sender of letters, or a messaging service. Source: https://www.twilio.com/docs/messaging/api/message-resource
_SENDER = re.compile(r"\+[1-9]\d{6,14}|MG[0-9a-f]{32}|[A-Za-z0-9 ]{0,10}[A-Za-z][A-Za-z0-9 ]{0,10}")


@dataclass(frozen=True)
class SmsAccount:
    """The account at the provider. `callback_url`: this service as the provider reaches it; empty: no reports, no replies."""

    api_url: str
    account_sid: str
    auth_token: str = field(repr=False)
    sender: str
    callback_url: str
    timeout_s: float = 10.0

    @property
    def number(self) -> str:
        """What people answer to; empty where nobody can."""
        return self.sender if self.sender.startswith("+") else ""


class SmsSettings(BaseSettings):
    sms_api_url: str = Field(default="https://api.twilio.com", description="or anything that speaks Twilio's API")
    sms_account_sid: str = ""
    sms_auth_token: SecretStr = SecretStr("")
    sms_from: str = Field(default="", description="+14155550100, a sender of letters, or MG… of a messaging service")
    sms_callback_url: str = Field(default="", description="this service as the provider reaches it, https://host")

    sms_timeout_s: float = Field(default=10.0, gt=0, le=60)

    @model_validator(mode="after")
    def check_sms(self) -> Self:
        given = {
            "SMS_ACCOUNT_SID": self.sms_account_sid,
            "SMS_AUTH_TOKEN": self.sms_auth_token.get_secret_value(),
            "SMS_FROM": self.sms_from,
        }
        missing = [name for name, value in given.items() if not value]
        if missing and len(missing) < len(given):
            raise ValueError(
                f"SMS is half set up: {', '.join(missing)} is missing; set all of {', '.join(given)}, or none"
            )
        if self.sms_from and not _SENDER.fullmatch(self.sms_from):
            raise ValueError(
                "SMS_FROM is a number such as +14155550100, up to 11 letters, or MG and 32 hexadecimal digits"
            )
        for name, url in (("SMS_API_URL", self.sms_api_url), ("SMS_CALLBACK_URL", self.sms_callback_url)):
            if url and not url.startswith(("https://", "http://")):
                raise ValueError(f"{name} begins with https://")
        return self

    @property
    def sms(self) -> SmsAccount | None:
        """None: SMS is off."""
        if not self.sms_from:
            return None
        return SmsAccount(
            api_url=self.sms_api_url.rstrip("/"),
            account_sid=self.sms_account_sid,
            auth_token=self.sms_auth_token.get_secret_value(),
            sender=self.sms_from,
            callback_url=self.sms_callback_url.rstrip("/"),
            timeout_s=self.sms_timeout_s,
        )
