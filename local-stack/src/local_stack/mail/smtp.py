"""The SMTP side of the stand-in, over aiosmtpd: takes mail for any address, and fails where a test says so."""

import asyncio
import logging
import ssl
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from local_stack.faults import Faults
from local_stack.mail.faults import Fault

MAX_MAIL_BYTES = 5_000_000

logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd tells every line that it reads

type Take = Callable[[str, list[str], bytes], Awaitable[None]]


@dataclass
class Handler:
    """`take(sender, recipients, raw)` puts a mail where it belongs. `sessions`: how many connections there have been."""

    take: Take
    faults: Faults[Fault]
    username: str = ""
    password: str = field(default="", repr=False)
    sessions: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        fault = self.faults.take("DOT")
        if fault is None or fault.drops:
            assert isinstance(envelope.content, bytes)
            await self.take(envelope.mail_from or "", list(envelope.rcpt_tos), envelope.content)
        if fault is not None and fault.drops:
            _cut(server)
        return f"{fault.code} {fault.text}" if fault is not None else "250 2.0.0 taken"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        expected = LoginPassword(self.username.encode(), self.password.encode())
        return AuthResult(success=data == expected, handled=False)


class FaultySmtp(SMTP):
    """aiosmtpd's server, asked at each verb whether it is to fail there."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None) -> None:
        needs_auth = bool(handler.username)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on loopback, passwords may travel in the clear
            super().__init__(
                handler,
                data_size_limit=MAX_MAIL_BYTES,
                hostname="mail.local",
                tls_context=tls,
                authenticator=handler.authenticate if needs_auth else None,
                auth_required=needs_auth,
                auth_require_tls=False,
                loop=asyncio.get_running_loop(),
            )
        self._script = handler

    async def _handle_client(self) -> None:
        self._script.sessions += 1
        if await self._fails("CONNECT"):
            if self.transport is not None:
                self.transport.close()
            return
        await super()._handle_client()

    async def _fails(self, verb: str) -> bool:
        fault = self._script.faults.take(verb)
        if fault is None:
            return False
        if fault.drops:
            _cut(self)
            return True
        await self.push(f"{fault.code} {fault.text}")
        if fault.code == 421 and self.transport is not None:
            self.transport.close()
        return True

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if not await self._fails("EHLO"):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        if not await self._fails("STARTTLS"):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        if not await self._fails("AUTH"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        if not await self._fails("MAIL"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        if not await self._fails("RCPT"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if not await self._fails("DATA"):
            await super().smtp_DATA(arg)


def _cut(server: SMTP) -> None:
    if isinstance(server.transport, asyncio.WriteTransport):
        server.transport.abort()


async def serve_smtp(
    handler: Handler, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(partial(FaultySmtp, handler, tls), host, port)
