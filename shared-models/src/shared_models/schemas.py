"""Messages between the services and to their callers, as Pydantic models. Times are UTC; ids are UUIDv7."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared_models.enums import DeliveryPolicy, DeliveryStatus, IntegrationType, RequestStatus, SessionStatus

MAX_CONTENT_LENGTH = 65_536
MAX_SEQUENCE = 2**53

type Metadata = dict[str, JsonValue]


class Message(BaseModel):
    """Base of what crosses a border: unknown fields are refused, values do not change.

    What a service or a row says is read by `read` and `read_json`: another release may have added fields, which are ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def read(cls, value: object) -> Self:
        """Raises pydantic.ValidationError."""
        return cls.model_validate(value, extra="ignore")

    @classmethod
    def read_json(cls, text: str | bytes) -> Self:
        """Raises pydantic.ValidationError."""
        return cls.model_validate_json(text, extra="ignore")


class Person(Message):
    """The person for whom something is done, as request-manager verified them."""

    user_id: UUID
    email: str
    name: str = ""


class ConfirmDecision(Message):
    """A person's answer to a confirmation."""

    id: UUID
    decision: Literal["approve", "reject"]


class DeliveryWish(Message):
    """Where an answer goes. `preferred`: the person's enabled integrations by priority. `targets`: these, in this order.

    `origin`: back to where the request came from, by `context` (a Slack thread, a mail thread)."""

    mode: Literal["preferred", "targets", "origin"]
    targets: list[IntegrationType] = Field(default_factory=list)
    policy: DeliveryPolicy = DeliveryPolicy.FIRST_SUCCESS
    context: Metadata = Field(default_factory=dict)


class NormalizedRequest(Message):
    """One request from any entry: what agent-service needs to answer it (`request.created`, `POST /api/v1/answers`)."""

    request_id: UUID
    session_id: UUID
    sequence: int = Field(ge=1, le=MAX_SEQUENCE, description="position in the session, from 1")
    person: Person
    integration_type: IntegrationType
    request_type: str = "message"
    content: str
    conversation_key: str
    named_session: bool = False
    confirm: ConfirmDecision | None = None
    stream: bool = False
    delivery: DeliveryWish | None = None
    retry_of: UUID | None = None
    metadata: Metadata = Field(default_factory=dict)
    context: Metadata = Field(default_factory=dict, description="the integration's own fields, as the entry took them")
    created_at: datetime
    deadline_at: datetime


class AgentRef(Message):
    name: str
    version: str


class Citation(Message):
    document: str
    section: str = ""
    text: str = ""


class ToolUse(Message):
    """One tool call of a run. No arguments and no output: those may hold personal data."""

    name: str
    server: str = ""
    outcome: Literal["ok", "error", "rejected"]
    duration_ms: int = 0


class Confirmation(Message):
    """A question that only the person can answer, before a tool with an effect runs."""

    id: UUID
    tool: str
    effect: str
    arguments: Metadata
    expires_at: datetime


class FollowupAction(Message):
    """Something the person may do next, for buttons. `kind`: confirm, reject, retry, new_topic."""

    kind: str
    label: str
    value: str = ""


class Usage(Message):
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class ErrorInfo(Message):
    """Why a request ended without an answer, in words for the person."""

    code: str
    message: str
    retryable: bool = False


class ResponseContent(Message):
    """The answer itself. `content` is Markdown."""

    content: str
    content_type: Literal["text/markdown"] = "text/markdown"
    agent: AgentRef
    citations: list[Citation] = Field(default_factory=list)
    tools: list[ToolUse] = Field(default_factory=list)
    confirmation: Confirmation | None = None
    requires_followup: bool = False
    followup_actions: list[FollowupAction] = Field(default_factory=list)
    usage: Usage = Field(default_factory=Usage)


class AgentResponse(Message):
    """How a request ended (`response.ready`, the reply of `/api/v1/answers`, the body of `/api/v1/deliveries`)."""

    request_id: UUID
    session_id: UUID
    sequence: int
    person: Person
    integration_type: IntegrationType
    status: RequestStatus
    response: ResponseContent | None = None
    error: ErrorInfo | None = None
    session_ended: bool = Field(default=False, description="the person asked for a new conversation: the key is free")
    delivery: DeliveryWish | None = None
    metadata: Metadata = Field(default_factory=dict)
    created_at: datetime
    ended_at: datetime
    deadline_at: datetime


class RequestProcessing(Message):
    """Data of `request.processing`: a run takes longer than two seconds."""

    request_id: UUID
    session_id: UUID
    person: Person
    integration_type: IntegrationType
    delivery: DeliveryWish | None = None
    agent: AgentRef | None = None


class DeliveryReport(Message):
    """Data of `delivery.succeeded` and `delivery.failed`."""

    request_id: UUID
    session_id: UUID
    user_id: UUID
    delivery_id: UUID
    integration: IntegrationType
    status: DeliveryStatus
    reason: str = ""


class EndRun(Message):
    """Body of `POST /api/v1/runs/{request_id}/end`: ask for an end; whoever is first decides.

    The person and the rest are needed for the tombstone when no run is there."""

    status: Literal[RequestStatus.CANCELLED, RequestStatus.EXPIRED, RequestStatus.FAILED]
    error: ErrorInfo
    request: NormalizedRequest


class RunView(Message):
    """State of a run. `answer` is there once it ended."""

    request_id: UUID
    session_id: UUID
    status: RequestStatus
    agent: AgentRef | None = None
    answer: AgentResponse | None = None


class DeliveryState(Message):
    integration: IntegrationType
    status: DeliveryStatus


class RequestResult(Message):
    """What a caller gets: the sync reply, `/result`, and the `answer` event of the stream."""

    request_id: UUID
    session_id: UUID
    status: RequestStatus
    integration_type: IntegrationType
    created_at: datetime
    completed_at: datetime | None = None
    processing_time_ms: int | None = None
    response: ResponseContent | None = None
    error: ErrorInfo | None = None
    deliveries: list[DeliveryState] = Field(default_factory=list)
    metadata: Metadata = Field(default_factory=dict)


class SessionView(Message):
    session_id: UUID
    user_id: UUID
    integration_type: IntegrationType
    conversation_key: str
    status: SessionStatus
    request_count: int = 0
    last_request_at: datetime | None = None
    user_context: Metadata = Field(default_factory=dict)
    integration_metadata: Metadata = Field(default_factory=dict)
    agent: str | None = None
    agent_version: str | None = None
    title: str = ""
    llama_stack_conversation_id: str | None = None
    usage: Usage = Field(default_factory=Usage)
    created_at: datetime
    expires_at: datetime


class SessionMessage(Message):
    """One line of a conversation as the person sees it."""

    request_id: UUID
    role: Literal["user", "assistant"]
    content: str
    agent: str | None = None
    created_at: datetime


class AgentView(Message):
    name: str
    version: str
    description: str
    model: str
    tools: list[str]
    knowledge_bases: list[str]
    handoffs: list[str]


class KnowledgeBaseView(Message):
    name: str
    documents: int
    chunks: int
    model: str
    updated_at: datetime | None = None


class Page[T](Message):
    """One page of a list. `next_cursor` is opaque; absent on the last page."""

    items: list[T]
    next_cursor: str | None = None


class Problem(BaseModel):
    """An error as RFC 9457 problem+json."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str = ""
    code: str
    hint: str = ""
    retryable: bool = False
    request_id: str = ""


type Content = Annotated[str, Field(min_length=1, max_length=MAX_CONTENT_LENGTH)]
