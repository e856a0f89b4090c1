"""The environment of the mail stand-in."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from local_stack.mail.wiring import AGENT_ADDRESS


class MailSettings(BaseSettings):
    """`agent_address`: the mailbox that the product reads, with this password. `control_token`: lets tests script faults."""

    model_config = SettingsConfigDict(env_prefix="MAIL_STANDIN_", extra="ignore", frozen=True)

    agent_address: str = AGENT_ADDRESS
    password: SecretStr
    people: str = ""
    control_token: SecretStr = SecretStr("")

    @property
    def known_people(self) -> list[str]:
        """Addresses that the page offers, besides those that have got mail."""
        return [each.strip().lower() for each in self.people.split(",") if each.strip()]
