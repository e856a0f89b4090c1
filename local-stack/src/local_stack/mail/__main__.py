"""`python -m local_stack.mail --port N --smtp-port N --imap-port N --state-dir DIR` runs the mail stand-in until it is stopped.

The password of the product's mailbox comes from MAIL_STANDIN_PASSWORD, in the environment or as a file of SECRETS_DIR."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from local_stack.mail.app import create_app
from local_stack.mail.imap import ImapAccount, serving_imap
from local_stack.mail.settings import MailSettings
from local_stack.mail.smtp import serve_smtp
from local_stack.mail.standin import MailStandin
from local_stack.program import options, serve, settings_of


def main() -> None:
    parser = options("local_stack.mail", __doc__, port=8091, state="the mails")
    parser.add_argument("--smtp-port", type=int, default=8092)
    parser.add_argument("--imap-port", type=int, default=8093)
    chosen = parser.parse_args()
    standin = MailStandin(chosen.state_dir, settings_of(MailSettings))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        smtp = await serve_smtp(standin.handler, host=chosen.host, port=chosen.smtp_port)
        async with serving_imap(account_of(standin), host=chosen.host, port=chosen.imap_port):
            yield
        smtp.close()

    serve(create_app(standin, lifespan), chosen)


def account_of(standin: MailStandin) -> ImapAccount:
    settings = standin.settings
    return ImapAccount(standin.mailboxes, settings.agent_address, settings.password.get_secret_value())


if __name__ == "__main__":
    main()
