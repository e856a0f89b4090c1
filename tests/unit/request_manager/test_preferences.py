"""Prefer and Idempotency-Key."""

import pytest
from request_manager.domain.preferences import read_idempotency_key, read_prefer
from shared_models.errors import InvalidRequest


@pytest.mark.parametrize(
    ("header", "wait_s", "applied"),
    [
        ("", 25.0, ""),
        ("respond-async", 0.0, "respond-async"),
        ("wait=10", 10.0, "wait=10"),
        ("wait=0", 0.0, "wait=0"),
        ("Wait = 10", 10.0, "wait=10"),
        ('wait="10"', 10.0, "wait=10"),
        ("wait=500", 120.0, "wait=120"),
        ("wait=99999999999999999999", 120.0, "wait=120"),
        ("respond-async, wait=5", 5.0, "respond-async, wait=5"),
        ("wait=5;x=1, handling=lenient", 5.0, "wait=5"),
        ("wait=5, wait=9", 5.0, "wait=5"),
        ("RESPOND-ASYNC", 0.0, "respond-async"),
        ("wait=-1", 25.0, ""),
        ("wait=1.5", 25.0, ""),
        ("wait=\u0661", 25.0, ""),
        ("wait", 25.0, ""),
        ("return=minimal", 25.0, ""),
        (",,;=", 25.0, ""),
    ],
)
def test_prefer_is_taken_where_it_can_be_read(header: str, wait_s: float, applied: str) -> None:
    preference = read_prefer(header, default_s=25.0, max_s=120.0)
    assert (preference.wait_s, preference.applied) == (wait_s, applied)


@pytest.mark.parametrize("key", ["a", "x" * 255, "slack:T1:C1:17.1", " !~"])
def test_printable_keys_are_taken(key: str) -> None:
    assert read_idempotency_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00", "a\n", "\x7f", "\u00e9"])
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidRequest):
        read_idempotency_key(key)


def test_no_header_is_no_key() -> None:
    assert read_idempotency_key(None) is None
