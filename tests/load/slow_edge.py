"""Around the dispatcher in the Slack scenario, one process: a way to PostgreSQL that adds to each round trip, and a Slack Web API.

python -m tests.load.slow_edge --port 8088 --proxy-port 6432 --database-port 5432 --added-ms 50"""

import argparse
import asyncio
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CHUNK_BYTES = 65_536
HOST = "127.0.0.1"


async def call(request: Request) -> JSONResponse:
    """Every member has a verified address, named after their id; all else works."""
    form = await request.form()
    user = str(form.get("user", ""))
    profile = {"email": f"{user.lower()}@example.com", "real_name": user}
    member = {"id": user, "team_id": "T1", "is_email_confirmed": True, "profile": profile}
    return JSONResponse({"ok": True, "user": member, "ts": "1700000000.000100", "channel": {"id": f"D{user}"}})


async def ready(_request: Request) -> JSONResponse:
    return JSONResponse({})


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, added_s: float) -> None:
    """What comes in leaves after `added_s`, in its order; later chunks do not wait for earlier ones."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def leave() -> None:
        while True:
            due_at, chunk = await queue.get()
            await asyncio.sleep(max(0.0, due_at - loop.time()))
            if not chunk:
                writer.close()
                return
            writer.write(chunk)

    leaving = asyncio.create_task(leave())
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK_BYTES):
            queue.put_nowait((loop.time() + added_s, chunk))
    queue.put_nowait((loop.time() + added_s, b""))
    await leaving


async def serve(given: argparse.Namespace) -> None:
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_database = await asyncio.open_connection(HOST, given.database_port)
        with suppress(ConnectionError):
            await asyncio.gather(
                forward(reader, to_database[1], 0.0), forward(to_database[0], writer, given.added_ms / 1000)
            )

    await asyncio.start_server(connect, HOST, given.proxy_port)
    app = Starlette(routes=[Route("/readyz", ready), Route("/api/{method:path}", call, methods=["POST"])])
    await uvicorn.Server(uvicorn.Config(app, host=HOST, port=given.port, log_level="warning")).serve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("port", "proxy-port", "database-port", "added-ms"):
        parser.add_argument(f"--{name}", type=int, required=True)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
