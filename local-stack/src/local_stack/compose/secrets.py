"""`python -m local_stack.compose.secrets FOLDER`: what the containers must not share in words, as files made once.

FOLDER/<container>/<NAME>: each container mounts the folder of its own, as SECRETS_DIR. `--eventing` says that messages go as
events: docker-compose.yml calls it so in the profile `eventing` alone. Development only."""

import argparse
import sys
from pathlib import Path

from local_stack.servicenow.catalogue import shipped_catalogue
from local_stack.state import Secrets, load_secrets

DATABASE = "postgresql://postgres:{password}@postgres:5432/self_service_agent"
OWN = "secrets"
SERVICES = ("request-manager", "agent-service", "integration-dispatcher")
EVENTING = "EVENTING_ENABLED"
# Containers run as a user that nobody knows beforehand, in group 0.
FOLDER_MODE, FILE_MODE = 0o770, 0o640


def files(secrets: Secrets) -> dict[str, dict[str, str]]:
    """Container → name of the setting → value."""
    database = {"DATABASE_URL": DATABASE.format(password=secrets.database_password)}
    common = database | {"SERVICE_TOKEN_KEY": secrets.service_token_key}
    return {
        "postgres": {"password": secrets.database_password},
        "migrations": database,
        "request-manager": common,
        "agent-service": common | {"IDENTITY_SIGNING_KEY": secrets.identity_signing_key},
        "integration-dispatcher": common
        | {
            "SECRETS_KEY": secrets.secrets_key,
            "SLACK_SIGNING_SECRET": secrets.slack_signing_secret,
            "SLACK_BOT_TOKEN": secrets.slack_bot_token,
            "SMTP_PASSWORD": secrets.mail_password,
            "IMAP_PASSWORD": secrets.mail_password,
            "SMS_AUTH_TOKEN": secrets.sms_auth_token,
        },
        "slack": {
            "SLACK_STANDIN_SIGNING_SECRET": secrets.slack_signing_secret,
            "SLACK_STANDIN_BOT_TOKEN": secrets.slack_bot_token,
        },
        "mail": {"MAIL_STANDIN_PASSWORD": secrets.mail_password},
        "phones": {"SMS_STANDIN_AUTH_TOKEN": secrets.sms_auth_token},
        "broker": common,
        "servicenow": {"SERVICENOW_STANDIN_API_KEY": secrets.servicenow_api_key},
        "servicenow-mcp": {
            "SERVICENOW_API_KEY": secrets.servicenow_api_key,
            "SERVICENOW_LAPTOP_REFRESH_ID": shipped_catalogue().item.sys_id,
            "IDENTITY_PUBLIC_KEY": secrets.identity_public_key,
        },
    }


def write(root: Path, *, eventing: bool) -> None:
    (root / OWN).mkdir(parents=True, exist_ok=True)
    wanted = files(load_secrets(root / OWN))
    for service in SERVICES:
        wanted[service] = wanted[service] | {EVENTING: "true" if eventing else "false"}
    for container, values in wanted.items():
        folder = root / container
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        for name, value in values.items():
            unfinished = folder / f".{name}"
            unfinished.write_text(value)
            unfinished.chmod(FILE_MODE)
            unfinished.rename(folder / name)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local_stack.compose.secrets", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--eventing", action="store_true")
    options = parser.parse_args(arguments)
    write(options.folder, eventing=options.eventing)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
