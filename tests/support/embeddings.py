"""An embedding server in the test's own process: texts that share words have near vectors."""

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

SYNONYMS = {"vehicle": "car", "automobile": "car", "replace": "exchange", "swap": "exchange"}


@dataclass
class FakeEmbeddings:
    """`status`: what it answers with; 200 is well. `texts`: everything that it was asked to embed."""

    dimensions: int = 512
    status: int = 200
    texts: list[str] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        texts: list[str] = orjson.loads(request.content)["input"]
        if self.status != 200:
            return httpx.Response(self.status)
        self.texts += texts
        data: list[dict[str, Any]] = [
            {"object": "embedding", "index": at, "embedding": self.vector(text)} for at, text in enumerate(texts)
        ]
        # Servers need not keep the order: the index says which is which.
        return httpx.Response(200, json={"object": "list", "data": data[::-1]})

    def vector(self, text: str) -> list[float]:
        numbers = [0.0] * self.dimensions
        for word in "".join(char if char.isalnum() else " " for char in text.lower()).split():
            digest = hashlib.sha256(SYNONYMS.get(word, word).encode()).digest()
            numbers[int.from_bytes(digest[:4]) % self.dimensions] += 1.0
        length = math.sqrt(sum(number * number for number in numbers)) or 1.0
        return [number / length for number in numbers]


def small_pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with one line of text per page, written by hand."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for at, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        font = "<< /Font << /F1 3 0 R >> >>"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources {font} /Contents {5 + 2 * at} 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    objects.append(f"<< /Title ({title}) >>")
    body, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"<< /Size {size} /Root 1 0 R /Info {len(objects)} 0 R >>"
    return (
        f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n{trailer}\nstartxref\n{len(body)}\n%%EOF".encode()
    )
