"""`python -m local_stack.mail --port N --smtp-port N --imap-port N --state-dir DIR` runs the mail stand-in until it is stopped.

The password of the product's mailbox comes from MAIL_STANDIN_PASSWORD, in the environment or as a file of SECRETS_DIR."""

import argparse
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from pydantic import ValidationError
from shared_models.settings import SECRETS_DIR

from local_stack.mail.app import create_app
from local_stack.mail.imap import ImapAccount, serving_imap
from local_stack.mail.settings import MailSettings
from local_stack.mail.smtp import serve_smtp
from local_stack.mail.standin import MailStandin


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m local_stack.mail", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8091, help="the mail view")
    parser.add_argument("--smtp-port", type=int, default=8092)
    parser.add_argument("--imap-port", type=int, default=8093)
    parser.add_argument("--state-dir", type=Path, required=True, help="the mails")
    options = parser.parse_args(arguments)
    try:
        standin = MailStandin(options.state_dir, MailSettings(_secrets_dir=os.environ.get(SECRETS_DIR)))
    except ValidationError as exc:
        print("; ".join(error["msg"] for error in exc.errors()), file=sys.stderr)
        return 2
    app = create_app(standin)
    app.router.lifespan_context = lambda _app: serving_mail(standin, options)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    return 0


@asynccontextmanager
async def serving_mail(standin: MailStandin, options: argparse.Namespace) -> AsyncIterator[None]:
    smtp = await serve_smtp(standin.handler, host=options.host, port=options.smtp_port)
    async with serving_imap(account_of(standin), host=options.host, port=options.imap_port):
        yield
    smtp.close()


def account_of(standin: MailStandin) -> ImapAccount:
    settings = standin.settings
    return ImapAccount(standin.mailboxes, settings.agent_address, settings.password.get_secret_value())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
