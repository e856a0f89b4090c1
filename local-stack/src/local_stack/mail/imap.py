"""The IMAP side of the stand-in: as much of IMAP4rev1 as reading one mailbox takes, and IDLE.

Source: RFC 3501, RFC 2177. Only INBOX; LOGIN, SELECT, SEARCH, FETCH of a body's beginning, STORE of flags, NOOP, LOGOUT."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from local_stack.mail.mailboxes import Mail, Mailboxes

MAX_LINE_BYTES = 65_536

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_PARTIAL = re.compile(r"BODY(?:\.PEEK)?\[\](?:<(\d+)\.(\d+)>)?", re.IGNORECASE)


@dataclass
class ImapAccount:
    mailboxes: Mailboxes
    address: str
    password: str
    connections: int = 0


class Connection:
    """One client. `told`: how many mails it knows of."""

    def __init__(self, account: ImapAccount, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._account = account
        self._reader = reader
        self._writer = writer
        self._is_in = False
        self._told = 0

    async def serve(self) -> None:
        self._account.connections += 1
        self._send("* OK [CAPABILITY IMAP4rev1 IDLE] mail.local ready")
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while await self._serve_line((await self._line()).rstrip("\r\n")):
                await self._writer.drain()

    async def _line(self) -> str:
        """A command, with its literals put in as quoted words."""
        line = (await self._reader.readuntil(b"\n")).decode("utf-8", errors="replace")
        while found := re.search(r"\{(\d{1,4})\}\r?\n$", line):
            self._send("+ go on")
            await self._writer.drain()
            literal = (await self._reader.readexactly(int(found[1]))).decode("utf-8", errors="replace")
            quoted = literal.replace("\\", "\\\\").replace('"', '\\"')
            line = line[: found.start()] + f'"{quoted}"' + (await self._reader.readuntil(b"\n")).decode()
        return line

    async def _serve_line(self, line: str) -> bool:
        """False: the client leaves."""
        tag, _, rest = line.partition(" ")
        words = [re.sub(r"\\(.)", r"\1", quoted) if quoted else plain for quoted, plain in _WORD.findall(rest)]
        command = words[0].upper() if words else ""
        if command == "UID":
            words = words[1:]
            command = f"UID {words[0].upper()}" if words else ""
        if command == "LOGOUT":
            self._send("* BYE", f"{tag} OK bye")
            return False
        if command == "IDLE":
            await self._idle(tag)
        elif command in ("CAPABILITY", "LOGIN", "NOOP"):
            self._without_mailbox(tag, command, words)
        elif not self._is_in:
            self._send(f"{tag} NO please log in")
        else:
            await self._with_mailbox(tag, command, words, rest)
        return True

    def _without_mailbox(self, tag: str, command: str, words: list[str]) -> None:
        if command == "CAPABILITY":
            self._send("* CAPABILITY IMAP4rev1 IDLE")
        elif command == "NOOP":
            self._tell_news()
        elif words[1:3] != [self._account.address, self._account.password]:
            self._send(f"{tag} NO [AUTHENTICATIONFAILED] wrong name or password")
            return
        else:
            self._is_in = True
        self._send(f"{tag} OK done")

    async def _with_mailbox(self, tag: str, command: str, words: list[str], rest: str) -> None:
        match command:
            case "SELECT":
                self._told = len(self._mails())
                self._send(f"* {self._told} EXISTS", "* FLAGS (\\Seen)", "* OK [UIDVALIDITY 1] one", f"{tag} OK done")
            case "UID SEARCH":
                wants_unseen = "UNSEEN" in rest.upper()
                found = [str(mail.uid) for mail in self._mails() if not (wants_unseen and mail.is_seen)]
                self._send(" ".join(["* SEARCH", *found]), f"{tag} OK done")
            case "UID FETCH":
                for number, mail in self._named(words[1]):
                    self._fetch(number, mail, rest)
                self._send(f"{tag} OK done")
            case "UID STORE":
                for _number, mail in self._named(words[1]):
                    await self._account.mailboxes.mark(mail, is_seen=words[2].startswith("+"))
                self._send(f"{tag} OK done")
            case _:
                self._send(f"{tag} BAD not known here")

    def _fetch(self, number: int, mail: Mail, rest: str) -> None:
        wanted = _PARTIAL.search(rest)
        begin, size = (int(wanted[1] or 0), int(wanted[2] or len(mail.raw))) if wanted else (0, 0)
        raw = mail.raw[begin : begin + size]
        shown = f"BODY[]<{begin}>" if wanted and wanted[2] else "BODY[]"
        self._writer.write(f"* {number} FETCH (UID {mail.uid} {shown} {{{len(raw)}}}\r\n".encode() + raw + b")\r\n")

    async def _idle(self, tag: str) -> None:
        """Tell of each new mail, until the client says DONE."""
        self._send("+ idling")
        done = asyncio.ensure_future(self._reader.readuntil(b"\n"))
        news = asyncio.ensure_future(self._news())
        try:
            while not done.done():
                self._tell_news()
                await self._writer.drain()
                await asyncio.wait({done, news}, return_when=asyncio.FIRST_COMPLETED)
                if news.done():
                    news = asyncio.ensure_future(self._news())
            await done
        finally:
            done.cancel()
            news.cancel()
        self._send(f"{tag} OK done")

    async def _news(self) -> None:
        async with self._account.mailboxes.changed:
            await self._account.mailboxes.changed.wait_for(lambda: len(self._mails()) != self._told)

    def _tell_news(self) -> None:
        count = len(self._mails())
        if count != self._told:
            self._told = count
            self._send(f"* {count} EXISTS")

    def _mails(self) -> list[Mail]:
        return self._account.mailboxes.all(self._account.address)

    def _named(self, uids: str) -> list[tuple[int, Mail]]:
        wanted = {int(each) for each in uids.split(",") if each.isdigit()}
        return [(number, mail) for number, mail in enumerate(self._mails(), 1) if mail.uid in wanted]

    def _send(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())


@asynccontextmanager
async def serving_imap(account: ImapAccount, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Yields the port. At the end every connection is cut."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(asyncio.CancelledError):
                await Connection(account, reader, writer).serve()
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, host, port, limit=MAX_LINE_BYTES)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        open_ones = list(tasks)
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
