"""A loopback server that behaves badly on purpose: slow, endless, huge, bombs. It counts every connection it gets."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
CHUNK = b"x" * 65_536
DRIP_EVERY_S = 0.05


@dataclass
class HostileServer:
    """`sent_bytes` is what it could get rid of, `request` the head of the last request."""

    host: str
    port: int = 0
    connections: int = 0
    sent_bytes: int = 0
    request: bytes = b""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/"


@dataclass
class Connection:
    server: HostileServer
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.server.sent_bytes += len(data)


type Behaviour = Callable[[Connection], Awaitable[None]]


@asynccontextmanager
async def hostile_server(
    behave: Behaviour, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[HostileServer]:
    """Answers each connection with `behave` after it has read the head of the request."""
    server = HostileServer(host)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
                server.request = await reader.readuntil(b"\r\n\r\n")
                await behave(Connection(server, writer))
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, host, 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def fine(connection: Connection) -> None:
    await connection.send(OK)


async def silent(connection: Connection) -> None:
    await asyncio.Event().wait()


async def drip_headers(connection: Connection) -> None:
    """One byte at a time, for ever."""
    await connection.send(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        await connection.send(b"y")
        await asyncio.sleep(DRIP_EVERY_S)


async def endless_headers(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    number = 0
    while True:
        number += 1
        await connection.send(f"x-{number}: {'y' * 1000}\r\n".encode())


async def one_endless_header(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        await connection.send(CHUNK)


async def drip_body(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 503 Busy\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        await connection.send(b"z")
        await asyncio.sleep(DRIP_EVERY_S)


async def gigabyte(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 500 Oops\r\ncontent-length: 1073741824\r\n\r\n")
    for _ in range(16_384):
        await connection.send(CHUNK)


async def gzip_bomb(connection: Connection) -> None:
    packed = gzip.compress(b"0" * 50_000_000)
    head = f"HTTP/1.1 500 Oops\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n"
    await connection.send(head.encode() + packed)


async def no_http(connection: Connection) -> None:
    await connection.send(b"220 mail.example.com ESMTP\r\n")


async def cut_off(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncont")


def redirect_to(url: str) -> Behaviour:
    async def behave(connection: Connection) -> None:
        await connection.send(f"HTTP/1.1 307 Elsewhere\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n".encode())

    return behave
