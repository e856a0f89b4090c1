"""The environment of the Slack stand-in: the app that it knows, and how strict it is about time."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

# What the shipped app asks for; the header X-OAuth-Scopes tells them, and a method whose scope is missing is refused.
SCOPES = (
    "app_mentions:read,assistant:write,channels:history,channels:read,chat:write,commands,groups:history,groups:read,"
    "im:history,im:read,im:write,reactions:read,reactions:write,users:read,users:read.email"
)


class SlackStandinSettings(BaseSettings):
    """`app_url`: where the app takes Slack's requests, below it /slack/events, /slack/commands and /slack/interactive.

    `retry_after_s`: seconds until each further try of an event. `post_every_s`: one post per channel in this time.
    `minute_s`: how long a minute of the methods' limits lasts. `ack_within_s`, `trigger_s`: Slack's three seconds.
    `control_token`: lets tests script faults over HTTP; without it those routes do not exist."""

    model_config = SettingsConfigDict(env_prefix="SLACK_STANDIN_", extra="ignore", frozen=True)

    signing_secret: SecretStr
    bot_token: SecretStr
    app_token: SecretStr = SecretStr("")
    app_url: str
    public_url: str = "http://127.0.0.1:8088"
    control_token: SecretStr = SecretStr("")
    scopes: str = SCOPES
    retry_after_s: tuple[float, ...] = (0.0, 60.0, 300.0)
    ack_within_s: float = 3.0
    trigger_s: float = 3.0
    post_every_s: float = 1.0
    minute_s: float = 60.0
    sends_own_messages: bool = True
