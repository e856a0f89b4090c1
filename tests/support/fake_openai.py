"""A small OpenAI-compatible model for tests of model servers: one fixed answer, streamed or not, in a thread."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

ANSWER = "The fake model says hello."
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: ClassVar[str]
    seen: ClassVar[list[dict[str, Any]]]

    def do_GET(self) -> None:
        self._reply(
            {"object": "list", "data": [{"id": self.model, "object": "model", "created": 0, "owned_by": "tests"}]}
        )

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append(request)
        if request.get("stream"):
            self._stream()
        else:
            message = {"role": "assistant", "content": ANSWER}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            self._reply(_completion("chat.completion", choice) | {"usage": USAGE})

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        words = {"role": "assistant", "content": ANSWER}
        chunks: list[dict[str, Any]] = [
            _completion("chat.completion.chunk", {"index": 0, "delta": words, "finish_reason": None}),
            _completion("chat.completion.chunk", {"index": 0, "delta": {}, "finish_reason": "stop"}),
            _completion("chat.completion.chunk", None) | {"usage": USAGE},
        ]
        for chunk in chunks:
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def _reply(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Tests do not want the log on their screen."""


def _completion(kind: str, choice: dict[str, Any] | None) -> dict[str, Any]:
    choices = [choice] if choice else []
    return {"id": "chatcmpl-1", "object": kind, "created": 0, "model": "fake", "choices": choices}


@contextmanager
def fake_openai(model: str = "fake") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its URL (ends in /v1), and the chat requests that it has seen."""
    seen: list[dict[str, Any]] = []
    handler = type("Handler", (_Handler,), {"model": model, "seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
        finally:
            server.shutdown()
            thread.join(timeout=5)
