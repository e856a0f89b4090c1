"""Which integrations get a stand-in for their other side: those that a developer has not set up for real."""

from dataclasses import dataclass

from local_stack.settings import UpSettings


@dataclass(frozen=True)
class StandIns:
    """One field per stand-in; none unless asked for, so that measurements start only what they measure."""

    slack: bool = False
    sms: bool = False
    webhook_inbox: bool = False
    mail: bool = False

    @classmethod
    def of(cls, settings: UpSettings) -> "StandIns":
        return cls(
            slack=not settings.slack_bot_token.get_secret_value(),
            sms=not settings.sms_account_sid,
            webhook_inbox=True,
            mail=not settings.smtp_host,
        )

    @property
    def phones(self) -> bool:
        """Phones and webhook inbox are one process."""
        return self.sms or self.webhook_inbox
