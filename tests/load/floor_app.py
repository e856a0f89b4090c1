"""The floor: what one request costs at least in this stack. One process, FastAPI, one insert, one model call, one update.

Environment: FLOOR_DATABASE_URL, FLOOR_MODEL_URL (without /v1)."""

import argparse
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

POOL_SIZE = 16
MODEL_TIMEOUT_S = 60
TABLE = """
create table if not exists floor_requests (
    id uuid primary key, content text not null, status text not null default 'accepted', response text,
    created_at timestamptz not null default now(), completed_at timestamptz)
"""
INSERT = "insert into floor_requests (id, content) values ($1, $2)"
UPDATE = "update floor_requests set status = 'completed', response = $2, completed_at = now() where id = $1"


class Question(BaseModel):
    content: str


class Answer(BaseModel):
    request_id: uuid.UUID
    status: str
    content: str | None = None


def create_app(database_url: str, model_url: str) -> FastAPI:
    pool: asyncpg.Pool
    model: aiohttp.ClientSession

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal pool, model
        timeout = aiohttp.ClientTimeout(total=MODEL_TIMEOUT_S)
        async with (
            asyncpg.create_pool(database_url, min_size=POOL_SIZE, max_size=POOL_SIZE) as pool,
            aiohttp.ClientSession(
                base_url=model_url, timeout=timeout, connector=aiohttp.TCPConnector(limit=0)
            ) as model,
        ):
            await pool.execute(TABLE)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/requests")
    async def answered(question: Question) -> Answer:
        request_id = uuid.uuid4()
        await pool.execute(INSERT, request_id, question.content)
        body = {"model": "fake", "input": [{"role": "user", "content": question.content}], "store": False}
        async with model.post("/v1/responses", json=body) as reply:
            response = await reply.json()
        content = response["output"][0]["content"][0]["text"]
        await pool.execute(UPDATE, request_id, content)
        return Answer(request_id=request_id, status="completed", content=content)

    @app.post("/accepted", status_code=202)
    async def accepted(question: Question) -> Answer:
        """What 202 costs at least: durable, then answered."""
        request_id = uuid.uuid4()
        await pool.execute(INSERT, request_id, question.content)
        return Answer(request_id=request_id, status="accepted")

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    app = create_app(os.environ["FLOOR_DATABASE_URL"], os.environ["FLOOR_MODEL_URL"])
    uvicorn.run(app, port=chosen.port, loop="uvloop", http="httptools", log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
