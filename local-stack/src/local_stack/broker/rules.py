"""What an answer of a subscriber means, how long to wait before the next attempt, what a dead letter says.

Source: knative/specs eventing/data-plane.md; the Kafka broker's dispatcher where it differs (`Mode.KAFKA`)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from local_stack.broker.manifests import Mode, Policy
from local_stack.broker.wire import STRUCTURED, Event

MAX_ERROR_BYTES = 1024
MAX_PAUSE_S = 24 * 3600.0
RETRIED = frozenset({404, 408, 409, 429})
ERROR_HEADER = "kne-"


class Verdict(Enum):
    DONE = auto()
    REPLY = auto()  # done, and the answer is an event to send on
    RETRY = auto()
    FAILED = auto()  # not to be tried again


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: no answer at all (connection broken, time over). Header names in lower case."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a delivery was given up."""

    url: str
    answer: Answer

    def extensions(self) -> dict[str, str]:
        """The extension attributes of the dead letter."""
        found = {"knativeerrordest": self.url}
        if self.answer.status:
            found["knativeerrorcode"] = str(self.answer.status)
        if self.answer.body:
            found["knativeerrordata"] = base64.b64encode(self.answer.body[:MAX_ERROR_BYTES]).decode()
        for name, value in self.answer.headers.items():
            extension = name[len(ERROR_HEADER) :]
            if name.startswith(ERROR_HEADER) and extension.isascii() and extension.isalnum():
                found[extension] = value
        return found


def dead_letter(event: Event, failure: Failure) -> Event:
    return event.with_extensions(failure.extensions())


def judge(answer: Answer, mode: Mode) -> Verdict:
    status = answer.status
    if 200 <= status < 300:
        if not answer.body and "ce-specversion" not in answer.headers:
            return Verdict.DONE
        if looks_like_event(answer):
            # The specification takes no reply from a 202; the Kafka broker does not look at the code.
            return Verdict.DONE if status == 202 and mode is Mode.SPEC else Verdict.REPLY
        return Verdict.FAILED if mode is Mode.KAFKA else Verdict.DONE
    if status == 0 or status >= 500 or status in RETRIED:
        return Verdict.RETRY
    return Verdict.FAILED


def looks_like_event(answer: Answer) -> bool:
    return "ce-specversion" in answer.headers or answer.headers.get("content-type", "").startswith(STRUCTURED)


def pause_s(policy: Policy, retry: int, answer: Answer, mode: Mode) -> float:
    """Seconds before the retry number `retry`, from 1. The Kafka broker counts from 1, the Go dispatcher from 0."""
    step = min(retry if mode is Mode.KAFKA else retry - 1, 1000)
    backoff = min(policy.delay_s * (step if policy.is_linear else 2**step), MAX_PAUSE_S)
    if mode is Mode.KAFKA or policy.retry_after_max_s is None or answer.status not in (429, 503):
        return backoff
    given = answer.headers.get("retry-after", "")
    asked = float(given) if given.isdecimal() else 0.0
    return max(backoff, min(asked, policy.retry_after_max_s))
