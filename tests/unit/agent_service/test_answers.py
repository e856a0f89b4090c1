"""An answer carries what its way back needs."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from agent_service.domain import answers
from agent_service.domain.ports import ModelReply
from agent_service.domain.turn import Turn, model_result
from request_manager.domain.normalizer import MAX_EXTRA_BYTES
from shared_models.enums import IntegrationType, RequestStatus, ServiceName
from shared_models.events import MAX_EVENT_BYTES, EventBuilder
from shared_models.schemas import AgentRef, Metadata, NormalizedRequest, Person

AT = datetime(2026, 3, 17, tzinfo=UTC)


def asked(metadata: Metadata) -> NormalizedRequest:
    return NormalizedRequest(
        request_id=UUID(int=1),
        session_id=UUID(int=2),
        sequence=1,
        person=Person(user_id=UUID(int=3), email="ana@example.com", name="Ana Quist"),
        integration_type=IntegrationType.SLACK,
        content="hello",
        conversation_key="slack:T1:D1",
        metadata=metadata,
        created_at=AT,
        deadline_at=AT + timedelta(hours=24),
    )


def test_an_answer_brings_back_the_metadata_of_its_request() -> None:
    request = asked({"slack_ts": "1.000001"})
    answer = answers.ended(request, RequestStatus.CANCELLED, answers.SESSION_CLOSED, now=AT)
    assert answer.metadata == {"slack_ts": "1.000001"}


@pytest.mark.parametrize("character", ["x", "\x01", "\U0001f4bb"])
def test_whatever_a_model_says_the_answer_fits_into_an_event(character: str) -> None:
    turn = Turn("k", "routing-agent")
    turn.model_replied(model_result(1, ModelReply(character * 2_000_000)))
    assert turn.text is not None
    assert turn.is_cut_off
    reply = answers.Reply(turn.text + answers.CUT_OFF_NOTE, AgentRef(name="routing-agent", version="1"))
    answer = answers.completed(asked({"m": "x" * (MAX_EXTRA_BYTES - 100)}), reply, now=AT)
    event = EventBuilder(ServiceName.AGENT_SERVICE).response_ready(answer)
    assert len(event.to_structured()) < MAX_EVENT_BYTES
    assert len(answer.model_dump_json()) < MAX_EVENT_BYTES
