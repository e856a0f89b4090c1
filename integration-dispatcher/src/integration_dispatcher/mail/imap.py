"""The mailbox that people write to. Source: RFC 3501 (IMAP4rev1), RFC 2177 (IDLE).

`imapclient` blocks, so every call runs in one thread of its own; each has a timeout and a limit of size."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from imapclient import SEEN, IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientError, LoginError

from integration_dispatcher.mail.received import MAX_RAW_BYTES
from integration_dispatcher.settings_email import EmailSettings, Tls

TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
CLOSE_WITHIN_S = 2.0
AT_ONCE = 20
BODY = b"BODY[]<0>"


class MailboxUnavailable(Exception):
    """It cannot be read now. `refuses`: it does not know our name and password."""

    def __init__(self, reason: str, *, refuses: bool = False) -> None:
        super().__init__(reason)
        self.refuses = refuses


@dataclass(frozen=True)
class Fetched:
    """One unread mail: its beginning, at most 1 MiB."""

    uid: int
    raw: bytes


class Mailbox:
    """One connection to one folder. Every method raises MailboxUnavailable; then open another one."""

    def __init__(self, settings: EmailSettings, tls: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._tls = tls
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="imap")
        self._client: IMAPClient | None = None
        self._is_closed = False

    async def open(self) -> None:
        try:
            await self._call(self._connect)
        except MailboxUnavailable:
            await self.close()
            raise

    async def unread(self) -> list[int]:
        """The numbers of the oldest mails that have not been seen."""

        def search() -> list[int]:
            return sorted(self._open_client().search("UNSEEN"))[:AT_ONCE]

        return await self._call(search)

    async def fetch(self, uid: int) -> Fetched | None:
        """None: it has gone meanwhile."""

        def fetch() -> Fetched | None:
            found = self._open_client().fetch([uid], [f"BODY.PEEK[]<0.{MAX_RAW_BYTES}>"])
            raw = found.get(uid, {}).get(BODY)
            return Fetched(uid, raw) if isinstance(raw, bytes) else None

        return await self._call(fetch)

    async def mark_seen(self, uid: int) -> None:
        await self._call(lambda: self._open_client().add_flags([uid], [SEEN], silent=True))

    async def wait_for_news(self, within_s: float) -> None:
        """Until the server tells of something, or the time is over; a server without IDLE is asked again after the time."""
        if not self._has_idle:
            await asyncio.sleep(within_s)
            await self._call(lambda: self._open_client().noop())
            return
        await self._call(lambda: self._idle(within_s), within_s=within_s + TIMEOUT_S)

    async def close(self) -> None:
        """Cut the connection, also in the middle of a call. Safe to repeat."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._client is not None:
            with suppress(OSError):
                self._client.socket().shutdown(socket.SHUT_RDWR)  # ends a read; closing would wait for its end
        left = asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        self._thread.shutdown(wait=False)
        await asyncio.wait({left}, timeout=CLOSE_WITHIN_S)

    def _let_go(self) -> None:
        if self._client is not None:
            with suppress(OSError, IMAPClientError):
                self._client.shutdown()

    def _connect(self) -> None:
        given = self._settings
        client = IMAPClient(
            given.imap_host,
            port=given.imap_port or (993 if given.imap_tls is Tls.TLS else 143),
            ssl=given.imap_tls is Tls.TLS,
            ssl_context=self._tls,
            timeout=SocketTimeout(CONNECT_TIMEOUT_S, TIMEOUT_S),
        )
        self._client = client
        if given.imap_tls is Tls.STARTTLS:
            client.starttls(self._tls or ssl.create_default_context())
        client.login(given.imap_username, given.imap_password.get_secret_value())
        client.select_folder(given.imap_folder)
        self._has_idle = bool(client.has_capability("IDLE"))

    def _idle(self, within_s: float) -> None:
        client = self._open_client()
        client.idle()
        if not _has_unread_lines(client):
            client.idle_check(timeout=within_s)
        client.idle_done()

    def _open_client(self) -> IMAPClient:
        if self._client is None:
            raise MailboxUnavailable("The mailbox is not open.")
        return self._client

    async def _call[T](self, work: Callable[[], T], *, within_s: float = TIMEOUT_S * 2) -> T:
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except LoginError as exc:
            raise MailboxUnavailable("The mailbox refuses our name and password.", refuses=True) from exc
        except (IMAPClientError, OSError, TimeoutError, ValueError, RuntimeError) as exc:
            raise MailboxUnavailable(f"The mailbox cannot be read: {exc}") from exc


def _has_unread_lines(client: IMAPClient) -> bool:
    """News that came together with the reply to IDLE: it has left the socket, which is all that `idle_check` looks at."""
    sock = client.socket()
    timeout_s = sock.gettimeout()
    sock.setblocking(False)
    try:
        lines = getattr(client._imap, "_file", None) or client._imap.file
        return bool(lines.peek(1))
    except OSError:
        return False
    finally:
        sock.settimeout(timeout_s)
