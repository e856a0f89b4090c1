"""What a method of the Web API answers when it refuses: HTTP 200, `ok` false and a word that says why."""

from typing import Any


class Refused(Exception):
    """`code` is Slack's word; `details` become further fields of the answer."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details

    def body(self) -> dict[str, Any]:
        return {"ok": False, "error": self.code, **self.details}


class RateLimited(Exception):
    """Answered as 429 with `Retry-After`, in whole seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s
