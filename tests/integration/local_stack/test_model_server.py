"""Both model servers, installed from their locks, started as the product starts them, in front of a fake model."""

from pathlib import Path

import httpx
import pytest
from local_stack.model_server import Kind, Upstream, running

from tests.support.fake_openai import ANSWER, fake_openai


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_model_server_starts_without_network_and_answers_responses_through_the_model(
    kind: Kind, tmp_path: Path
) -> None:
    request = {"model": "llm/fake", "input": "Hello?", "instructions": "Be kind.", "store": False}
    with fake_openai("fake") as (model_url, seen), running(kind, Upstream(model_url, "fake"), tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            health = await http.get("/v1/health")
            reply = await http.post("/v1/responses", json=request)
    assert health.json() == {"status": "OK"}
    assert reply.status_code == 200, reply.text
    assert ANSWER in reply.text
    assert [message["role"] for message in seen[-1]["messages"]] == ["system", "user"]
    log_lines = server.log.read_text().splitlines()
    assert all(line.startswith("{") for line in log_lines if line.strip())
