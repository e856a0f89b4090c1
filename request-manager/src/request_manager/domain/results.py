"""A stored request as its callers read it. One function makes the bytes of every result, so that all readers get the same."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from shared_models.answers import answer_to
from shared_models.api import RequestAccepted, RequestDetail, RequestState
from shared_models.enums import IntegrationType, RequestStatus
from shared_models.schemas import (
    AgentResponse,
    ConfirmDecision,
    DeliveryState,
    DeliveryWish,
    ErrorInfo,
    Metadata,
    NormalizedRequest,
    Person,
    ResponseContent,
)


@dataclass(frozen=True)
class StoredResult:
    """What of a request a result is made of. `response`, `error` and `metadata` are JSON texts as stored."""

    request_id: UUID
    session_id: UUID
    user_id: UUID
    caller: str
    status: RequestStatus
    integration_type: IntegrationType
    response: str | None
    error: str | None
    deliveries: dict[str, str]
    metadata: str
    is_cancelling: bool
    created_at: datetime
    ended_at: datetime | None
    purged_at: datetime | None

    @property
    def processing_time_ms(self) -> int | None:
        """Time from accept to end by two clocks that may differ a little, so never below zero."""
        if self.ended_at is None:
            return None
        return max(0, (self.ended_at - self.created_at) // timedelta(milliseconds=1))

    @property
    def delivery_states(self) -> list[DeliveryState]:
        pairs = sorted(self.deliveries.items())
        return [DeliveryState.model_validate({"integration": name, "status": state}) for name, state in pairs]


@dataclass(frozen=True)
class StoredRequest:
    """A request with its question and the person it is for, as the other services need it."""

    result: StoredResult
    person: Person
    caller: str
    sequence: int
    request_type: str
    content: str | None
    extra: str
    conversation_key: str
    named_session: bool
    stream: bool
    retry_of: UUID | None
    session_ended: bool
    deadline_at: datetime


@dataclass(frozen=True)
class Extra:
    """What of a request is stored as one JSON text."""

    context: Metadata
    delivery: DeliveryWish | None
    confirm: ConfirmDecision | None
    trace: str = ""

    def dump(self) -> str:
        value: dict[str, object] = {}
        if self.context:
            value["context"] = self.context
        if self.delivery is not None:
            value["delivery"] = self.delivery.model_dump(mode="json")
        if self.confirm is not None:
            value["confirm"] = self.confirm.model_dump(mode="json")
        if self.trace:
            value["trace"] = self.trace
        return orjson.dumps(value).decode() if value else "{}"

    @staticmethod
    def load(text: str) -> "Extra":
        value = orjson.loads(text)
        delivery, confirm = value.get("delivery"), value.get("confirm")
        return Extra(
            context=value.get("context", {}),
            delivery=DeliveryWish.read(delivery) if delivery is not None else None,
            confirm=ConfirmDecision.read(confirm) if confirm is not None else None,
            trace=value.get("trace", ""),
        )


def result_bytes(stored: StoredResult) -> bytes:
    """The JSON of a `RequestResult`."""
    value = {
        "request_id": str(stored.request_id),  # asyncpg's UUID is a subclass, which orjson does not take
        "session_id": str(stored.session_id),
        "status": stored.status,
        "integration_type": stored.integration_type,
        "created_at": stored.created_at,
        "completed_at": stored.ended_at,
        "processing_time_ms": stored.processing_time_ms,
        "response": orjson.Fragment(stored.response) if stored.response is not None else None,
        "error": orjson.Fragment(stored.error) if stored.error is not None else None,
        "deliveries": [{"integration": name, "status": state} for name, state in sorted(stored.deliveries.items())],
        "metadata": orjson.Fragment(stored.metadata),
    }
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def accepted_bytes(request_id: UUID, session_id: UUID, status: RequestStatus) -> bytes:
    """The JSON of a `RequestAccepted`."""
    return RequestAccepted(request_id=request_id, session_id=session_id, status=status).model_dump_json().encode()


def state_of(stored: StoredResult) -> RequestState:
    return RequestState(
        request_id=stored.request_id,
        session_id=stored.session_id,
        status=stored.status,
        cancelling=stored.is_cancelling and stored.ended_at is None,
        created_at=stored.created_at,
        completed_at=stored.ended_at,
        deliveries=stored.delivery_states,
    )


def detail_of(stored: StoredRequest, *, with_content: bool) -> RequestDetail:
    """With the question, or for an operator without it."""
    result = stored.result
    shows = with_content and result.purged_at is None
    return RequestDetail(
        request_id=result.request_id,
        session_id=result.session_id,
        status=result.status,
        integration_type=result.integration_type,
        created_at=result.created_at,
        completed_at=result.ended_at,
        processing_time_ms=result.processing_time_ms,
        response=ResponseContent.read_json(result.response) if shows and result.response else None,
        error=ErrorInfo.read_json(result.error) if result.error else None,
        deliveries=result.delivery_states,
        metadata=orjson.loads(result.metadata) if shows else {},
        user_id=result.user_id,
        sequence=stored.sequence,
        request_type=stored.request_type,
        content=stored.content if shows else None,
        cancelling=result.is_cancelling and result.ended_at is None,
        retry_of=stored.retry_of,
    )


def normalized(stored: StoredRequest) -> NormalizedRequest:
    """The request as agent-service gets it."""
    extra = Extra.load(stored.extra)
    return NormalizedRequest(
        request_id=stored.result.request_id,
        session_id=stored.result.session_id,
        sequence=stored.sequence,
        person=stored.person,
        integration_type=stored.result.integration_type,
        request_type=stored.request_type,
        content=stored.content or "",
        conversation_key=stored.conversation_key,
        named_session=stored.named_session,
        confirm=extra.confirm,
        stream=stored.stream,
        delivery=extra.delivery,
        retry_of=stored.retry_of,
        metadata=orjson.loads(stored.result.metadata),
        context=extra.context,
        created_at=stored.result.created_at,
        deadline_at=stored.deadline_at,
    )


def trace_of(stored: StoredRequest) -> str:
    """The traceparent of the call that made the request; empty without one."""
    return Extra.load(stored.extra).trace


def ended_by_us(request: NormalizedRequest, status: RequestStatus, error: ErrorInfo, now: datetime) -> AgentResponse:
    """An end that agent-service could not be asked for."""
    return answer_to(request, status, now, error=error)


def answer_of(stored: StoredRequest) -> AgentResponse:
    """The answer of an ended request as the dispatcher gets it. The content may be gone: then nothing is left to tell."""
    result = stored.result
    assert result.ended_at is not None
    return answer_to(
        normalized(stored),
        result.status,
        result.ended_at,
        response=ResponseContent.read_json(result.response) if result.response else None,
        error=ErrorInfo.read_json(result.error) if result.error else None,
        session_ended=stored.session_ended,
    )
