"""demo-rules as a process of its own."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE

import httpx

from tests.support.waiting import eventually


async def test_the_process_serves_real_embeddings_and_ends_with_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local_stack.demo_rules", "--port", "0", stdout=PIPE
    )
    try:
        assert process.stdout is not None
        base_url = (await process.stdout.readline()).decode().split()[-1]
        assert base_url.startswith("http://127.0.0.1:")
        async with httpx.AsyncClient(base_url=base_url, timeout=60) as http:

            async def is_ready() -> bool:
                return (await http.get(base_url.removesuffix("/v1") + "/readyz")).status_code == 200

            await eventually(is_ready)
            body = {"model": "use-multilingual-v3", "input": ["one", "two"]}
            vectors = [one["embedding"] for one in (await http.post("/embeddings", json=body)).json()["data"]]
            assert [len(vector) for vector in vectors] == [512, 512]
    finally:
        process.send_signal(signal.SIGTERM)
        ended = await asyncio.wait_for(process.wait(), 300)
    assert ended in (0, -signal.SIGTERM)
