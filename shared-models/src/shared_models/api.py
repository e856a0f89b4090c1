"""Bodies and views of request-manager's public API, beside the results of `schemas.py`. Its callers read and write these.

Every body refuses what no text column or JSON parser takes everywhere: NUL, lone surrogates, numbers beyond 64 bits."""

import math
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from shared_models.enums import (
    CallerKind,
    DeliveryPolicy,
    IntegrationType,
    RequestStatus,
    Role,
    Scope,
)
from shared_models.schemas import (
    ConfirmDecision,
    Content,
    DeliveryState,
    Message,
    Metadata,
    RequestResult,
)

MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1
MAX_METADATA_VALUES = 1000

type ShortText = Annotated[str, Field(max_length=200)]
type LongText = Annotated[str, Field(max_length=2000)]
type Target = Literal["preferred", "slack", "email", "webhook", "sms", "test"]


def check_json(value: object, depth: int = 0) -> None:
    """Raise ValueError for a parsed JSON value that cannot be stored or sent on unchanged."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("numbers must be finite")
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise ValueError("integers have at most 64 bits")
    elif isinstance(value, dict | list):
        _check_nested(value, depth)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError("text must not contain NUL")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("text must be valid Unicode")


def _check_nested(value: "dict[Any, Any] | list[Any]", depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise ValueError(f"values nest at most {MAX_DEPTH} deep")
    if isinstance(value, dict):
        for key in value:
            check_json(key)
    for item in value.values() if isinstance(value, dict) else value:
        check_json(item, depth + 1)


def _not_blank(content: str) -> str:
    if content.isspace():
        raise ValueError("content must hold more than white space")
    return content


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Body(Message):
    """Base of every body that a caller sends."""

    @model_validator(mode="before")
    @classmethod
    def check_values(cls, value: Any) -> Any:
        """Look at the raw body first, so that not even the name of an unknown field can break the reply."""
        check_json(value)
        return value


class RequestBody(Body):
    """What every entry takes. `deliver_to`: one or several integrations, or `preferred`; without it, where it came from."""

    content: Annotated[Content, AfterValidator(_not_blank)]
    session_id: UUID | None = None
    request_type: str = Field(default="message", pattern=r"^[a-z][a-z0-9_.-]{0,49}$")
    metadata: Metadata = Field(default_factory=dict, max_length=MAX_METADATA_VALUES)
    deliver_to: Annotated[list[Target], BeforeValidator(_as_list), Field(min_length=1, max_length=6)] | None = None
    delivery_policy: DeliveryPolicy = DeliveryPolicy.FIRST_SUCCESS
    integration_type: IntegrationType | None = Field(
        default=None, description="a one-value deliver_to; the entry's own name asks for nothing"
    )
    confirm: ConfirmDecision | None = None
    stream: bool = False

    @model_validator(mode="after")
    def check_targets(self) -> Self:
        if self.deliver_to is not None and len(set(self.deliver_to)) != len(self.deliver_to):
            raise ValueError("deliver_to names an integration twice")
        if self.deliver_to is not None and "preferred" in self.deliver_to and len(self.deliver_to) > 1:
            raise ValueError("deliver_to: preferred stands alone")
        return self


class WebRequest(RequestBody):
    """`session_token` is taken for old clients and dropped: it is neither stored nor passed on."""

    session_token: ShortText | None = None
    client_ip: ShortText | None = None
    user_agent: LongText | None = None


class CliRequest(RequestBody):
    cli_session_id: ShortText | None = None
    command_context: Metadata = Field(default_factory=dict)


class GenericRequest(RequestBody):
    pass


class ToolRequest(RequestBody):
    """From a system with a tool key. One conversation per (tool, instance); without an instance a new one each time."""

    user_id: UUID = Field(description="the person to act for; the key must allow it")
    tool_id: str = Field(min_length=1, max_length=200)
    tool_instance_id: ShortText | None = None
    trigger_event: ShortText | None = None
    tool_context: Metadata = Field(default_factory=dict)


class SlackRequest(RequestBody):
    """From integration-dispatcher. A channel that begins with D is a direct message: one conversation for all of it."""

    user_id: UUID
    channel_id: str = Field(min_length=1, max_length=200)
    thread_id: ShortText | None = None
    slack_user_id: str = Field(min_length=1, max_length=200)
    slack_team_id: str = Field(min_length=1, max_length=200)


class EmailRequest(RequestBody):
    """From integration-dispatcher. The thread is the first of `references`, else `in_reply_to`, else `message_id`."""

    user_id: UUID
    email_from: str = Field(min_length=1, max_length=320)
    subject: LongText = ""
    message_id: str = Field(min_length=1, max_length=998)
    in_reply_to: str | None = Field(default=None, max_length=998)
    references: list[Annotated[str, Field(max_length=998)]] = Field(default_factory=list, max_length=200)


class RequestAccepted(Message):
    """The 202 body: accepted, the answer comes later."""

    request_id: UUID
    session_id: UUID
    status: RequestStatus


class RequestState(RequestAccepted):
    """`/status`. `cancelling`: a cancel was asked for and has not been decided yet."""

    cancelling: bool = False
    created_at: datetime
    completed_at: datetime | None = None
    deliveries: list[DeliveryState] = Field(default_factory=list)


class RequestItem(Message):
    """One line of a list. `excerpt` is the beginning of the question, for its owner alone."""

    request_id: UUID
    session_id: UUID
    user_id: UUID
    status: RequestStatus
    integration_type: IntegrationType
    request_type: str
    excerpt: str | None = None
    agent: str | None = None
    error_code: str | None = None
    retry_of: UUID | None = None
    created_at: datetime
    completed_at: datetime | None = None


class FeedbackBody(Body):
    rating: Literal["up", "down"]
    reason: LongText = ""


class FeedbackView(Message):
    rating: Literal["up", "down"]
    reason: str = ""
    created_at: datetime


class RequestDetail(RequestResult):
    """A request with its question. Operators see another person's without content, response and metadata."""

    user_id: UUID
    sequence: int
    request_type: str
    content: str | None = None
    cancelling: bool = False
    retry_of: UUID | None = None
    feedback: FeedbackView | None = None


class TitleBody(Body):
    title: str = Field(min_length=1, max_length=200)


class UserView(Message):
    user_id: UUID
    email: str
    name: str = ""
    role: Role = Role.USER


class ResolveBody(Body):
    """Who is this? Known by (integration, external id); else by an e-mail address that the integration has verified."""

    integration: IntegrationType
    external_id: str = Field(min_length=1, max_length=200)
    email: str | None = Field(default=None, max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")
    name: ShortText = ""


class ApiKeyBody(Body):
    """A personal key acts as its owner. A tool key, made by an administrator, acts for the named people within its scopes."""

    name: str = Field(min_length=1, max_length=100)
    kind: Literal[CallerKind.PERSON, CallerKind.TOOL] = CallerKind.PERSON
    scopes: list[Scope] | None = Field(
        default=None, min_length=1, max_length=10, description="default: all; a tool key: requests:read, requests:write"
    )
    acts_for: list[UUID] | Literal["everyone"] = Field(default_factory=list, description="tool keys only")
    expires_in_days: int | None = Field(default=None, ge=1, le=3650)

    @model_validator(mode="after")
    def check_kind(self) -> Self:
        if self.kind is CallerKind.PERSON and self.acts_for:
            raise ValueError("a personal key acts for its owner alone")
        return self


class ApiKeyView(Message):
    """A key as lists show it: `prefix` is its beginning; the key itself is shown once, when it is made."""

    key_id: UUID
    user_id: UUID
    name: str
    kind: CallerKind
    prefix: str
    scopes: list[Scope]
    acts_for: list[UUID] | Literal["everyone"]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class NewApiKey(ApiKeyView):
    api_key: str
