"""How the product and the mail stand-in find each other."""

from dataclasses import dataclass, field
from pathlib import Path

from local_stack.servicenow.demo import demo_person

AGENT_ADDRESS = "it@selfservice.example"
AUTHSERV_ID = "mail.local"


@dataclass(frozen=True)
class MailPlace:
    """Ports of this machine, and the password of the product's mailbox."""

    smtp_port: int
    imap_port: int
    password: str = field(repr=False)


def settings(place: MailPlace) -> dict[str, str]:
    """What integration-dispatcher reads."""
    return {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(place.smtp_port),
        "SMTP_USERNAME": AGENT_ADDRESS,
        "SMTP_PASSWORD": place.password,
        "SMTP_TLS": "none",
        "SMTP_FROM": f"IT Help <{AGENT_ADDRESS}>",
        "IMAP_HOST": "127.0.0.1",
        "IMAP_PORT": str(place.imap_port),
        "IMAP_USERNAME": AGENT_ADDRESS,
        "IMAP_PASSWORD": place.password,
        "IMAP_TLS": "none",
        "EMAIL_TRUSTED_AUTHSERV_ID": AUTHSERV_ID,
    }


def stand_in(place: MailPlace, folder: Path) -> tuple[dict[str, str], list[str]]:
    """What the stand-in reads, and its arguments."""
    env = {"MAIL_STANDIN_PASSWORD": place.password, "MAIL_STANDIN_PEOPLE": demo_person().email}
    ports = ["--smtp-port", str(place.smtp_port), "--imap-port", str(place.imap_port)]
    return env, [*ports, "--state-dir", str(folder)]
