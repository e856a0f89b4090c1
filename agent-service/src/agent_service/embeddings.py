"""Texts as vectors, from any server with an OpenAI-shaped `/v1/embeddings`.

Source: https://platform.openai.com/docs/api-reference/embeddings"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import httpx
import orjson
from shared_models.telemetry import current_traceparent

BATCH = 32
BATCH_TIMEOUT_S = 60.0
QUERY_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 3.0
MAX_REPLY_BYTES = 64 * 1024 * 1024
MAX_DIMENSIONS = 4_096

type Vector = list[float]


class EmbeddingsUnavailable(Exception):
    """No usable vectors; the search then goes by words alone. The text is for logs."""


class Embeddings:
    """`base_url` ends in /v1; `http` stays its owner's to close. Without a `base_url` there are never any vectors."""

    def __init__(self, http: httpx.AsyncClient, base_url: str, model: str, *, api_key: str = "") -> None:
        self._http = http
        self._url = base_url.rstrip("/") + "/embeddings" if base_url else ""
        self._api_key = api_key
        self.model = model

    @property
    def is_off(self) -> bool:
        """No server is named: there is nothing to wait for."""
        return not self._url

    async def embed_query(self, text: str) -> Vector:
        """Raises EmbeddingsUnavailable, soon: a person waits."""
        return (await self._batch([text], QUERY_TIMEOUT_S))[0]

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector per text, all of one length. Raises EmbeddingsUnavailable."""
        vectors: list[Vector] = []
        for start in range(0, len(texts), BATCH):
            vectors += await self._batch(texts[start : start + BATCH], BATCH_TIMEOUT_S)
        if len({len(vector) for vector in vectors}) > 1:
            raise EmbeddingsUnavailable("its vectors have different lengths")
        return vectors

    async def _batch(self, texts: Sequence[str], timeout_s: float) -> list[Vector]:
        if not self._url:
            raise EmbeddingsUnavailable("EMBEDDINGS_URL is not set")
        body = orjson.dumps({"model": self.model, "input": list(texts)})
        try:
            async with asyncio.timeout(timeout_s):
                raw = await self._post(body, timeout_s)
        except TimeoutError as exc:
            raise EmbeddingsUnavailable(f"no answer within {timeout_s:g} s") from exc
        except httpx.HTTPError as exc:
            raise EmbeddingsUnavailable(repr(exc)[:300]) from exc
        return read_vectors(raw, len(texts))

    async def _post(self, body: bytes, timeout_s: float) -> bytes:
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        async with self._http.stream(
            "POST", self._url, content=body, headers=self._headers(), timeout=timeout
        ) as reply:
            if not reply.is_success:
                raise EmbeddingsUnavailable(f"status {reply.status_code}")
            chunks: list[bytes] = []
            size = 0
            async for chunk in reply.aiter_bytes():
                size += len(chunk)
                if size > MAX_REPLY_BYTES:
                    raise EmbeddingsUnavailable(f"its answer is larger than {MAX_REPLY_BYTES} bytes")
                chunks.append(chunk)
        return b"".join(chunks)

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key}"
        if traceparent := current_traceparent():
            headers["traceparent"] = traceparent
        return headers


def read_vectors(raw: bytes, expected: int) -> list[Vector]:
    """The vectors in the order of their texts. Raises EmbeddingsUnavailable for anything else than asked for."""
    try:
        data = orjson.loads(raw)["data"]
        rows = sorted(data, key=lambda row: row["index"])
        indexes = [row["index"] for row in rows]
        vectors = [row["embedding"] for row in rows]
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise EmbeddingsUnavailable("its answer has another shape") from exc
    if indexes != list(range(expected)):
        raise EmbeddingsUnavailable(f"{len(indexes)} vectors for {expected} texts")
    if not all(_is_vector(vector) for vector in vectors):
        raise EmbeddingsUnavailable("a vector is no list of numbers")
    return vectors


def _is_vector(value: Any) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_DIMENSIONS:
        return False
    return all(isinstance(number, int | float) and math.isfinite(number) for number in value) and any(value)
