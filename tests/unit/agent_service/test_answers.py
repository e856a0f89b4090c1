"""An answer carries what its way back needs."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from agent_service.domain import answers
from shared_models.enums import IntegrationType, RequestStatus
from shared_models.schemas import NormalizedRequest, Person

AT = datetime(2026, 3, 17, tzinfo=UTC)


def test_an_answer_brings_back_the_metadata_of_its_request() -> None:
    request = NormalizedRequest(
        request_id=UUID(int=1),
        session_id=UUID(int=2),
        sequence=1,
        person=Person(user_id=UUID(int=3), email="ana@example.com", name="Ana Quist"),
        integration_type=IntegrationType.SLACK,
        content="hello",
        conversation_key="slack:T1:D1",
        metadata={"slack_ts": "1.000001"},
        created_at=AT,
        deadline_at=AT + timedelta(hours=24),
    )
    answer = answers.ended(request, RequestStatus.CANCELLED, answers.SESSION_CLOSED, now=AT)
    assert answer.metadata == {"slack_ts": "1.000001"}
