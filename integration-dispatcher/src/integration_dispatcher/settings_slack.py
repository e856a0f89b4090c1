"""The environment of the Slack integration, SLACK_*. Without a bot token Slack is off; half set stops the start."""

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings


class SlackSettings(BaseSettings):
    """Slack brings requests by HTTP (signed with SLACK_SIGNING_SECRET) or over a socket (SLACK_APP_TOKEN): one is needed."""

    slack_bot_token: SecretStr = Field(default=SecretStr(""), description="xoxb-…; empty: Slack is off")
    slack_signing_secret: SecretStr = SecretStr("")
    slack_app_token: SecretStr = Field(default=SecretStr(""), description="xapp-…: Socket Mode, no public URL needed")
    slack_api_url: str = Field(default="https://slack.com/api/", description="ends where a method's name begins")
    slack_timeout_s: float = Field(default=10.0, gt=0, le=60)
    slack_post_every_s: float = Field(default=1.2, ge=0, le=60, description="between two posts to one channel")

    @property
    def has_slack(self) -> bool:
        return bool(self.slack_bot_token.get_secret_value())

    @model_validator(mode="after")
    def check_slack(self) -> Self:
        ways_in = (self.slack_signing_secret.get_secret_value(), self.slack_app_token.get_secret_value())
        if self.has_slack and not any(ways_in):
            raise ValueError(
                "SLACK_BOT_TOKEN needs SLACK_SIGNING_SECRET (HTTP) or SLACK_APP_TOKEN (Socket Mode) beside it"
            )
        if any(ways_in) and not self.has_slack:
            raise ValueError("SLACK_SIGNING_SECRET and SLACK_APP_TOKEN need SLACK_BOT_TOKEN beside them")
        if urlsplit(self.slack_api_url).scheme not in ("http", "https"):
            raise ValueError("SLACK_API_URL begins with https:// or http://")
        return self
