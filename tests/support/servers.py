"""Real HTTP servers for tests: ASGI apps on free loopback ports, inside the test's event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp


class _Server(uvicorn.Server):
    """Ends at once when told to; uvicorn's own loop looks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._is_told = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._is_told.wait()

    def tell_to_end(self) -> None:
        self.should_exit = True
        self._is_told.set()


def free_socket() -> tuple[socket.socket, str]:
    """A bound loopback socket and its URL, known before the app is built."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    return sock, f"http://127.0.0.1:{sock.getsockname()[1]}"


@asynccontextmanager
async def serving(app: ASGIApp, sock: socket.socket) -> AsyncIterator[None]:
    """Serve `app` on `sock` until the block ends; start-up errors are raised here."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=2)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:
        if task.done():
            await task
            raise RuntimeError("the app did not start; its log says why")
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.tell_to_end()
        await task
        sock.close()


@asynccontextmanager
async def serving_all(apps: Sequence[tuple[ASGIApp, socket.socket]]) -> AsyncIterator[None]:
    """Serve apps that do not depend on each other, started and ended side by side."""
    servers = [serving(app, sock) for app, sock in apps]
    await asyncio.gather(*(server.__aenter__() for server in servers))
    try:
        yield
    finally:
        await asyncio.gather(*(server.__aexit__(None, None, None) for server in servers))
