"""demo-rules as a process of its own."""

import signal
import subprocess
import sys

import httpx

from tests.support.waiting import eventually


async def test_the_process_serves_real_embeddings_and_ends_with_sigterm() -> None:
    command = [sys.executable, "-m", "local_stack.demo_rules", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().split()[-1]
            assert base_url.startswith("http://127.0.0.1:")
            async with httpx.AsyncClient(base_url=base_url) as http:

                async def is_ready() -> bool:
                    return (await http.get(base_url.removesuffix("/v1") + "/readyz")).status_code == 200

                await eventually(is_ready, within_s=30)
                body = {"model": "use-multilingual-v3", "input": ["one", "two"]}
                vectors = [one["embedding"] for one in (await http.post("/embeddings", json=body)).json()["data"]]
                assert [len(vector) for vector in vectors] == [512, 512]
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode in (0, -signal.SIGTERM)
