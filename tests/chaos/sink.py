"""The webhook receiver of a fault run, a process of its own: `python -m tests.chaos.sink --port N --file PATH`.

Each message it takes is a line on the disk before it says so; now and then it refuses one first."""

import argparse
import json
import random
import time
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.chaos.lines import Lines

REFUSED_SHARE = 0.05


def create_app(file: Path, seed: int) -> Starlette:
    lines, chance = Lines(file), random.Random(seed)

    async def hook(request: Request) -> Response:
        body = json.loads(await request.body())
        if body["type"] == "webhook.verify":
            return JSONResponse({"challenge": body["data"]["challenge"]})
        if chance.random() < REFUSED_SHARE:
            return Response(status_code=503)
        data = body["data"]
        response, error = data.get("response") or {}, data.get("error") or {}
        lines.add(
            message=request.headers["webhook-id"],
            person=request.path_params["person"],
            request_id=data["request_id"],
            session_id=data["session_id"],
            status=data["status"],
            text=response.get("content", "") or error.get("message", ""),
            at=time.time(),
        )
        return Response(status_code=204)

    async def ready(_request: Request) -> Response:
        return Response()

    return Starlette(routes=[Route("/hook/{person}", hook, methods=["POST"]), Route("/readyz", ready)])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    chosen = parser.parse_args()
    app = create_app(chosen.file, chosen.seed)
    uvicorn.run(app, port=chosen.port, loop="uvloop", http="httptools", log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
