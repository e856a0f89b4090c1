"""Vectors from an embedding server: what is not exactly what was asked for is not used."""

from typing import Any

import httpx
import orjson
import pytest
from agent_service.embeddings import BATCH, Embeddings, EmbeddingsUnavailable, read_vectors

from tests.support.embeddings import FakeEmbeddings


async def test_texts_are_sent_in_batches_and_vectors_come_in_their_order() -> None:
    server = FakeEmbeddings(dimensions=16)
    texts = [f"text number{n}" for n in range(BATCH * 2 + 1)]
    async with server.client() as http:
        vectors = await Embeddings(http, "http://embeddings.test/v1/", "m").embed(texts)
    assert server.texts == texts
    assert vectors == [server.vector(text) for text in texts]


async def test_the_model_and_the_key_are_sent() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return FakeEmbeddings().answer(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        await Embeddings(http, "http://embeddings.test/v1", "m", api_key="k").embed_query("a")
    assert str(seen[0].url) == "http://embeddings.test/v1/embeddings"
    assert seen[0].headers["authorization"] == "Bearer k"
    assert orjson.loads(seen[0].content) == {"model": "m", "input": ["a"]}


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500])
async def test_a_server_that_refuses_is_unavailable(status: int) -> None:
    server = FakeEmbeddings(status=status)
    async with server.client() as http:
        with pytest.raises(EmbeddingsUnavailable, match=str(status)):
            await Embeddings(http, "http://embeddings.test/v1", "m").embed_query("a")


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("cut")])
async def test_a_server_that_is_away_is_unavailable(error: httpx.HTTPError) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        with pytest.raises(EmbeddingsUnavailable):
            await Embeddings(http, "http://embeddings.test/v1", "m").embed_query("a")


async def test_without_an_address_there_are_no_vectors() -> None:
    async with FakeEmbeddings().client() as http:
        with pytest.raises(EmbeddingsUnavailable):
            await Embeddings(http, "", "m").embed(["a"])


def row(index: Any = 0, embedding: Any = None) -> dict[str, Any]:
    return {"index": index, "embedding": [0.5, 0.5] if embedding is None else embedding}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"data": None},
        {"data": []},
        {"data": [row(1)]},
        {"data": [row(), row()]},
        {"data": [row("0")]},
        {"data": [{"index": 0}]},
        {"data": [row(embedding=[])]},
        {"data": [row(embedding=["a"])]},
        {"data": [row(embedding=[None])]},
        {"data": [row(embedding=[0.0, 0.0])]},
        {"data": [row(embedding=[0.1] * 5000)]},
        {"data": [row(embedding="AAAA")]},
    ],
)
def test_an_answer_of_another_shape_is_unavailable(body: Any) -> None:
    with pytest.raises(EmbeddingsUnavailable):
        read_vectors(orjson.dumps(body), 1)


@pytest.mark.parametrize("raw", [b"", b"<html>", b'{"data": [{"index": 0, "embedding": [NaN]}]}', b'{"data": [1e999]}'])
def test_an_answer_that_is_no_json_is_unavailable(raw: bytes) -> None:
    with pytest.raises(EmbeddingsUnavailable):
        read_vectors(raw, 1)


async def test_vectors_of_different_lengths_are_unavailable() -> None:
    sizes = iter([2, 3])

    def answer(request: httpx.Request) -> httpx.Response:
        return FakeEmbeddings(dimensions=next(sizes)).answer(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        with pytest.raises(EmbeddingsUnavailable, match="different lengths"):
            await Embeddings(http, "http://embeddings.test/v1", "m").embed(["a"] * (BATCH + 1))
