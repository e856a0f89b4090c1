"""Results as callers read them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from asyncpg.pgproto import pgproto
from request_manager.domain.results import Extra, StoredResult, result_bytes, state_of
from shared_models.enums import IntegrationType, RequestStatus
from shared_models.schemas import DeliveryWish, RequestResult

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
STORED = StoredResult(
    request_id=pgproto.UUID("0199b1c0-0000-7000-8000-000000000000"),
    session_id=UUID(int=2),
    user_id=UUID(int=3),
    caller="user:3",
    status=RequestStatus.COMPLETED,
    integration_type=IntegrationType.WEB,
    response='{"content":"hi","agent":{"name":"a","version":"1"}}',
    error=None,
    deliveries={"webhook": "delivered", "email": "failed"},
    metadata='{"b": 1,  "a": 2}',
    is_cancelling=True,
    created_at=NOW,
    ended_at=NOW + timedelta(milliseconds=1234, microseconds=999),
    purged_at=None,
)


def test_a_result_is_what_the_schema_says() -> None:
    result = RequestResult.model_validate_json(result_bytes(STORED))
    assert result.processing_time_ms == 1234
    assert result.response is not None
    assert [(state.integration, state.status) for state in result.deliveries] == [
        ("email", "failed"),
        ("webhook", "delivered"),
    ]
    assert result.created_at == NOW


def test_stored_texts_stand_in_the_result_as_they_are() -> None:
    assert b'"metadata":{"b": 1,  "a": 2}' in result_bytes(STORED)


def test_clocks_that_differ_make_no_negative_times() -> None:
    assert replace(STORED, ended_at=NOW - timedelta(seconds=1)).processing_time_ms == 0
    assert replace(STORED, ended_at=None).processing_time_ms is None


def test_an_ended_request_is_no_longer_being_cancelled() -> None:
    assert state_of(STORED).cancelling is False
    assert state_of(replace(STORED, ended_at=None)).cancelling is True


def test_what_is_not_needed_is_not_stored() -> None:
    assert Extra({}, None, None).dump() == "{}"
    full = Extra({"a": "\u00e9"}, DeliveryWish(mode="preferred"), None)
    assert Extra.load(full.dump()) == full
