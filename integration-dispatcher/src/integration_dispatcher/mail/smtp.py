"""Handing one mail to the mail server. Source: RFC 5321; RFC 3207 (STARTTLS)."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPException, SMTPResponseException, SMTPServerDisconnected, SMTPTimeoutError

from integration_dispatcher.handlers.base import Delivered, DeliveryDelayed, DeliveryRejected, IntegrationPaused
from integration_dispatcher.settings_email import EmailSettings, Tls

PORTS = {Tls.TLS: 465, Tls.STARTTLS: 587, Tls.NONE: 25}
SHUTTING_DOWN = 421
BACK_OFF_S = 60.0
CONNECTIONS = 8
NOT_KNOWN = frozenset({500, 501, 502, 504})


@dataclass
class _Step:
    """What is being said to the server at the moment, in words for an error."""

    name: str = "connecting"


@dataclass
class MailServer:
    """`tls`: whom to trust, the system's authorities without it. `quiet_until` is when the server may be asked again."""

    settings: EmailSettings
    tls: ssl.SSLContext | None = None
    clock: Callable[[], float] = time.monotonic
    quiet_until: float = field(default=0.0, init=False)
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS), init=False, repr=False)

    async def send(self, sender: str, recipient: str, raw: bytes) -> Delivered:
        """Raises DeliveryDelayed, DeliveryRejected (this mail, never), IntegrationPaused (we ourselves are refused)."""
        step = _Step()
        try:
            async with self._free, asyncio.timeout(self.settings.smtp_timeout_s * 3):
                client = await self._open(step)
                try:
                    return await self._hand_over(client, step, (sender, recipient, raw))
                finally:
                    await _leave(client)
        except TimeoutError as exc:
            raise DeliveryDelayed(f"The mail server is too slow ({step.name}).") from exc

    async def probe(self) -> None:
        """Greet, encrypt and sign in. Raises DeliveryDelayed, IntegrationPaused."""
        await _leave(await self._open(_Step()))

    async def _open(self, step: _Step) -> SMTP:
        """A session that is ready for MAIL. What fails here says nothing about any one mail."""
        left_s = self.quiet_until - self.clock()
        if left_s > 0:
            raise DeliveryDelayed("The mail server asked for a pause.", code=SHUTTING_DOWN, retry_after_s=left_s)
        client = self._client()
        try:
            await client.connect()
            await self._greet(client, step)
        except SMTPResponseException as exc:
            client.close()
            raise self._refused_us(step, exc) from exc
        except (SMTPException, OSError) as exc:
            client.close()
            raise DeliveryDelayed(f"The mail server cannot be reached ({step.name}).", words=str(exc)) from exc
        return client

    def _client(self) -> SMTP:
        given = self.settings
        return SMTP(
            hostname=given.smtp_host,
            port=given.smtp_port or PORTS[given.smtp_tls],
            local_hostname=given.smtp_from.rpartition("@")[2].rstrip("> "),
            timeout=given.smtp_timeout_s,
            use_tls=given.smtp_tls is Tls.TLS,
            start_tls=False,
            tls_context=self.tls,
        )

    async def _greet(self, client: SMTP, step: _Step) -> None:
        step.name = "EHLO"
        await _hello(client)
        if self.settings.smtp_tls is Tls.STARTTLS:
            step.name = "STARTTLS"
            await client.starttls()
            step.name = "EHLO"
            await client.ehlo()
        if self.settings.smtp_username:
            step.name = "AUTH"
            await self._sign_in(client)

    async def _sign_in(self, client: SMTP) -> None:
        """PLAIN, where the server has it: `login` tries one method after the other, and asks a closed account thrice."""
        name, password = self.settings.smtp_username, self.settings.smtp_password.get_secret_value()
        if "plain" in client.supported_auth_methods:
            await client.auth_plain(name, password)
        else:
            await client.login(name, password)

    async def _hand_over(self, client: SMTP, step: _Step, mail: tuple[str, str, bytes]) -> Delivered:
        sender, recipient, raw = mail
        try:
            step.name = "MAIL"
            await client.mail(sender)
            step.name = "RCPT"
            await client.rcpt(recipient)
            step.name = "DATA"
            reply = await client.data(raw)
        except SMTPResponseException as exc:
            raise self._refused_mail(step, exc) from exc
        except SMTPTimeoutError as exc:
            raise DeliveryDelayed(f"The mail server did not answer in time ({step.name}).") from exc
        except (SMTPServerDisconnected, SMTPException, OSError) as exc:
            raise DeliveryDelayed(f"The mail server broke the connection off ({step.name}).", words=str(exc)) from exc
        return Delivered(code=reply.code)

    def _refused_us(self, step: _Step, exc: SMTPResponseException) -> DeliveryDelayed | IntegrationPaused:
        reason = f"The mail server does not let us in ({step.name})."
        if 500 <= exc.code < 600:
            return IntegrationPaused(reason, code=exc.code, words=exc.message)
        return self._delayed(reason, exc)

    def _refused_mail(self, step: _Step, exc: SMTPResponseException) -> DeliveryDelayed | DeliveryRejected:
        if 500 <= exc.code < 600:
            return DeliveryRejected(
                f"The mail server refused the mail ({step.name}).", code=exc.code, words=exc.message
            )
        return self._delayed(f"The mail server cannot take the mail now ({step.name}).", exc)

    def _delayed(self, reason: str, exc: SMTPResponseException) -> DeliveryDelayed:
        """421 means that the server is closing: nobody calls it for a while."""
        if exc.code != SHUTTING_DOWN:
            return DeliveryDelayed(reason, code=exc.code, words=exc.message)
        self.quiet_until = self.clock() + BACK_OFF_S
        return DeliveryDelayed(reason, code=exc.code, words=exc.message, retry_after_s=BACK_OFF_S)


async def _hello(client: SMTP) -> None:
    """EHLO; HELO only for a server that does not know it."""
    try:
        await client.ehlo()
    except SMTPResponseException as exc:
        if exc.code not in NOT_KNOWN:
            raise
        await client.helo()


async def _leave(client: SMTP) -> None:
    """The mail is taken or refused by now, whatever becomes of the farewell."""
    try:
        await client.quit(timeout=2)
    except (SMTPException, OSError):
        client.close()
