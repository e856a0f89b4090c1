"""A TCP balancer in front of two replicas of each service: `python -m tests.chaos.balancer PORT=BACKEND,BACKEND …`.

A new connection goes to the next replica that takes it; when none does, it is closed. When one side ends, so does the other."""

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

HOST = "127.0.0.1"


class Side(asyncio.Protocol):
    """One end of a pair. What comes before the other end is there waits for it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Side | None = None
        self.early: list[bytes] = []
        self.has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one without being derived from it

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.early.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.has_ended = True
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def join(self, other: "Side") -> None:
        self.other, other.other = other, self
        assert other.transport is not None
        assert self.transport is not None
        for data in self.early:
            other.transport.write(data)
        self.early.clear()
        if self.has_ended or other.has_ended:
            self.transport.close()
            other.transport.close()


class Front(Side):
    """The caller's end: finds a replica."""

    def __init__(self, backends: list[int], turns: Iterator[int]) -> None:
        super().__init__()
        self._backends = backends
        self._turns = turns
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.create_task(self._find())

    async def _find(self) -> None:
        loop, first = asyncio.get_running_loop(), next(self._turns)
        for n in range(len(self._backends)):
            port = self._backends[(first + n) % len(self._backends)]
            with contextlib.suppress(OSError):
                _, back = await loop.create_connection(Side, HOST, port)
                self.join(back)
                return
        assert self.transport is not None
        self.transport.close()


async def balance(routes: dict[int, list[int]]) -> None:
    loop = asyncio.get_running_loop()
    for port, backends in routes.items():
        turns = itertools.count()
        await loop.create_server(lambda b=backends, t=turns: Front(b, t), HOST, port, backlog=2048)  # type: ignore[misc]
    await asyncio.Event().wait()


def read_route(text: str) -> tuple[int, list[int]]:
    port, _, backends = text.partition("=")
    return int(port), [int(each) for each in backends.split(",")]


if __name__ == "__main__":
    uvloop.run(balance(dict(map(read_route, sys.argv[1:]))))
