"""The installed `ssa` over real connections and with real signals."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.support.cli import REQUEST_ID, TOKEN, accepted, answer, end, event
from tests.support.servers import free_socket, serving

PROGRAM = Path(sys.executable).with_name("ssa")


class SlowServer:
    """Accepts every question. The first stream breaks after a piece of text; the second answers, unless it `hangs`."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs
        self.is_streaming = asyncio.Event()
        self.resumed_after: list[str] = []
        self.app = Starlette(
            routes=[
                Route("/api/v1/requests/cli", self._accept, methods=["POST"]),
                Route(f"/api/v1/requests/{REQUEST_ID}/events", self._events),
                Route(f"/api/v1/requests/{REQUEST_ID}/result", self._result),
            ]
        )

    async def _accept(self, request: Request) -> Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        return Response(accepted().model_dump_json(), 202, media_type="application/json")

    async def _result(self, _request: Request) -> Response:
        self.is_streaming.set()
        await asyncio.Event().wait()
        return Response(status_code=500)

    async def _events(self, request: Request) -> Response:
        self.resumed_after.append(request.headers.get("last-event-id", ""))
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[bytes]:
        self.is_streaming.set()
        if self.hangs:
            await asyncio.Event().wait()
        if len(self.resumed_after) == 1:
            yield event("delta", "1-1", text="Your laptop").encode()
            return
        yield end(answer(), "end").encode()


@asynccontextmanager
async def running(
    *arguments: str, server: SlowServer, home: Path, stdout: int = asyncio.subprocess.PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program, asking this server."""
    sock, url = free_socket()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "SSA_URL": url, "SSA_TOKEN": TOKEN}
    pipe = asyncio.subprocess.PIPE
    async with serving(server.app, sock):
        process = await asyncio.create_subprocess_exec(
            PROGRAM, *arguments, env=environment, cwd=home, stdin=pipe, stdout=stdout, stderr=pipe
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_chat_goes_on_after_its_stream_was_cut(tmp_path: Path) -> None:
    server = SlowServer(hangs=False)
    async with running("chat", "--json", server=server, home=tmp_path) as process:
        shown, _ = await asyncio.wait_for(process.communicate(b"How old is my laptop?\n"), 300)
    assert process.returncode == 0
    assert json.loads(shown) == answer().model_dump(mode="json")
    assert server.resumed_after == ["", "1-1"]


async def test_ctrl_c_leaves_a_chat_at_once_and_tells_how_to_go_on(tmp_path: Path) -> None:
    server = SlowServer(hangs=True)
    async with running("chat", server=server, home=tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(b"How old is my laptop?\n")
        await asyncio.wait_for(server.is_streaming.wait(), 300)
        process.send_signal(signal.SIGINT)
        shown, said = await asyncio.wait_for(process.communicate(), 300)
    assert (process.returncode, shown) == (130, b"")
    assert f"ssa requests watch {REQUEST_ID}" in said.decode()
    assert "Traceback" not in said.decode()


async def test_ctrl_c_leaves_a_question_at_once_and_tells_how_to_go_on(tmp_path: Path) -> None:
    server = SlowServer(hangs=True)
    async with running("ask", "How old is my laptop?", server=server, home=tmp_path) as process:
        await asyncio.wait_for(server.is_streaming.wait(), 300)
        process.send_signal(signal.SIGINT)
        shown, said = await asyncio.wait_for(process.communicate(), 300)
    assert (process.returncode, shown) == (130, b"")
    assert f"ssa requests watch {REQUEST_ID}" in said.decode()


async def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    server = SlowServer(hangs=False)
    async with running("chat", "--json", server=server, home=tmp_path, stdout=write_end) as process:
        os.close(write_end)
        _, said = await asyncio.wait_for(process.communicate(b"How old is my laptop?\n"), 300)
    assert "Traceback" not in said.decode()
