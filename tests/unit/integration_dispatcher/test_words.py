"""What a person reads about an end, and what may be stored of a provider's words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integration_dispatcher.domain.redaction import MAX_LENGTH, safe_id, safe_words
from integration_dispatcher.domain.templates import words
from shared_models.enums import RequestStatus
from shared_models.ids import new_id
from shared_models.schemas import ErrorInfo

from tests.support.dispatcher import ended

ENDS = [status for status in RequestStatus if status.is_end]
DOWN = ErrorInfo(code="tool_unavailable", message="ServiceNow does not answer right now.", retryable=True)


def test_a_completed_request_is_its_answer() -> None:
    assert words(ended(new_id(), None, content="**Yes.**")) == "**Yes.**"


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (RequestStatus.FAILED, None, "Your request could not be answered."),
        (
            RequestStatus.FAILED,
            DOWN,
            "Your request could not be answered. ServiceNow does not answer right now. You can ask again.",
        ),
        (RequestStatus.CANCELLED, None, "Your request was cancelled."),
        (
            RequestStatus.EXPIRED,
            None,
            "Your request ran out of time before it could be answered. You can ask again.",
        ),
    ],
)
def test_every_other_end_says_what_happened(status: RequestStatus, error: ErrorInfo | None, text: str) -> None:
    assert words(ended(new_id(), None, status=status, error=error)) == text


@pytest.mark.parametrize("status", ENDS)
def test_the_status_decides_even_if_an_answer_is_there(status: RequestStatus) -> None:
    answer = ended(new_id(), None, content="the answer").model_copy(update={"status": status})
    assert (words(answer) == "the answer") == (status is RequestStatus.COMPLETED)


SECRETS = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "Authorization: Bearer abc.def.ghi",
    "ssa_01234567_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    'password="hunter2"',
    '{"api_key": "hunter2"}',
    "token=hunter2&x=1",
    "https://user:hunter2@example.com/",
    "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    "0123456789abcdef0123456789abcdef01234567",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("text", ["{}", "it said: {} and more", "{}\n{}"])
def test_what_looks_like_a_secret_is_hidden(secret: str, text: str) -> None:
    said = safe_words(text.replace("{}", secret))
    assert "***" in said
    for piece in ("hunter2", "MfKQ9r8G", "abc.def", "abcdefghijkl", "c2lnbmF0", "K5oZfzN9", "0123456789abcdef"):
        assert piece not in said


def test_ordinary_words_stay() -> None:
    assert safe_words(b"Too many requests, try again in 20 seconds.") == "Too many requests, try again in 20 seconds."


@given(st.binary(max_size=5000) | st.text(st.characters(), max_size=5000))
def test_any_words_become_one_short_printable_line(raw: bytes | str) -> None:
    said = safe_words(raw)
    assert len(said) <= MAX_LENGTH
    assert "\x00" not in said
    assert len(said.splitlines()) <= 1
    assert said.encode().decode() == said


def test_a_providers_name_for_a_message_is_no_secret_but_bounded_and_on_one_line() -> None:
    assert safe_id("SM" + "0a" * 16) == "SM" + "0a" * 16
    assert safe_id("<1@example.com>\r\nBcc: x") == "<1@example.com>Bcc:x"
    assert len(safe_id("x" * 10_000)) == MAX_LENGTH
