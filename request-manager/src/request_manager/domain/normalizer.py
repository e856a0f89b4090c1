"""Any entry's body becomes one kind of request: who, what, in which conversation, and where the answer goes."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from shared_models.api import (
    CliRequest,
    EmailRequest,
    GenericRequest,
    RequestBody,
    SlackRequest,
    ToolRequest,
    WebRequest,
)
from shared_models.commands import command_of
from shared_models.enums import DELIVERY_INTEGRATIONS, IntegrationType
from shared_models.errors import InvalidRequest
from shared_models.schemas import ConfirmDecision, DeliveryWish, Metadata

from request_manager.domain.callers import Caller

MAX_KEY_LENGTH = 300
MAX_EXTRA_BYTES = 262_144
"""Of metadata and context together. An event, and an answer on its way to be delivered, has room for them beside the words."""

DROPPED_FIELDS = frozenset({"session_token", "user_id"})


@dataclass(frozen=True)
class IncomingRequest:
    """A request before the database has given it its place. `conversation_key` empty: a new conversation of its own."""

    request_id: UUID
    user_id: UUID
    caller_id: str
    integration_type: IntegrationType
    request_type: str
    content: str
    session_id: UUID | None
    conversation_key: str
    metadata: Metadata
    context: Metadata
    delivery: DeliveryWish | None
    confirm: ConfirmDecision | None
    stream: bool
    created_at: datetime
    deadline_at: datetime
    retry_of: UUID | None = None
    idempotency_key: str | None = None
    body_hash: bytes | None = None
    trace: str = ""

    @property
    def overtakes(self) -> bool:
        """Asking for the state, or to stop, does not wait behind the conversation's other requests."""
        command = command_of(self.content) if len(self.content) < 100 else None
        return command is not None and not command.waits_its_turn


@dataclass(frozen=True)
class Arrival:
    """What is known of a request besides its body."""

    request_id: UUID
    caller: Caller
    user_id: UUID
    created_at: datetime
    deadline_at: datetime
    idempotency_key: str | None = None


ENTRIES: dict[type[RequestBody], IntegrationType] = {
    WebRequest: IntegrationType.WEB,
    CliRequest: IntegrationType.CLI,
    GenericRequest: IntegrationType.GENERIC,
    ToolRequest: IntegrationType.TOOL,
    SlackRequest: IntegrationType.SLACK,
    EmailRequest: IntegrationType.EMAIL,
}


def normalize(body: RequestBody, arrival: Arrival) -> IncomingRequest:
    """Raises InvalidRequest for targets that contradict each other, and for more metadata than an event has room for."""
    integration = ENTRIES[type(body)]
    context = _context(body)
    if len(orjson.dumps([body.metadata, context])) > MAX_EXTRA_BYTES:
        raise InvalidRequest("metadata and the fields of the entry's own may have 256 KiB together.")
    return IncomingRequest(
        request_id=arrival.request_id,
        user_id=arrival.user_id,
        caller_id=arrival.caller.id,
        integration_type=integration,
        request_type=body.request_type,
        content=body.content,
        session_id=body.session_id,
        conversation_key=_conversation_key(body, arrival.caller),
        metadata=body.metadata,
        context=context,
        delivery=delivery_wish(body, integration, context),
        confirm=body.confirm,
        stream=body.stream,
        created_at=arrival.created_at,
        deadline_at=arrival.deadline_at,
        idempotency_key=arrival.idempotency_key,
        body_hash=body_hash(body, integration) if arrival.idempotency_key is not None else None,
    )


def body_hash(body: RequestBody, integration: IntegrationType) -> bytes:
    """Equal for equal bodies, whatever the order of their fields."""
    value = [integration.value, body.model_dump(mode="json")]
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()


def delivery_wish(body: RequestBody, integration: IntegrationType, context: Metadata) -> DeliveryWish | None:
    """Where the answer goes. None: nowhere, the caller reads the result. Raises InvalidRequest."""
    targets = _targets(body, integration)
    if targets == ["preferred"] or (targets is None and integration is IntegrationType.TOOL):
        return DeliveryWish(mode="preferred", policy=body.delivery_policy)
    if targets is not None:
        return DeliveryWish(
            mode="targets", targets=[IntegrationType(target) for target in targets], policy=body.delivery_policy
        )
    if integration in (IntegrationType.SLACK, IntegrationType.EMAIL):
        return DeliveryWish(mode="origin", targets=[integration], policy=body.delivery_policy, context=context)
    return None


def _targets(body: RequestBody, integration: IntegrationType) -> list[str] | None:
    given: list[str] | None = [*body.deliver_to] if body.deliver_to is not None else None
    named = body.integration_type
    if named is None or (named is integration and given is None):
        return given
    if given is not None and given != [named.value]:
        raise InvalidRequest("integration_type and deliver_to contradict each other: give one of them.")
    if named not in DELIVERY_INTEGRATIONS:
        raise InvalidRequest(f"Nothing can be delivered to {named.value}.")
    return [named.value]


_COMMON_FIELDS = frozenset(RequestBody.model_fields)


def _context(body: RequestBody) -> Metadata:
    """The integration's own fields, without empty ones and without secrets."""
    names = [name for name in type(body).model_fields if name not in _COMMON_FIELDS and name not in DROPPED_FIELDS]
    values = {name: getattr(body, name) for name in names}
    return {name: value for name, value in values.items() if value}


def _conversation_key(body: RequestBody, caller: Caller) -> str:
    maker = _KEYS.get(type(body))
    key = maker(body, caller) if maker is not None else ""
    if len(key) <= MAX_KEY_LENGTH:
        return key
    # A key stands in an index, whose rows are small.
    return f"{key[:40]}#{hashlib.sha256(key.encode()).hexdigest()}"


def _slack_key(body: RequestBody, _caller: Caller) -> str:
    assert isinstance(body, SlackRequest)
    is_direct_message = body.channel_id.startswith("D")
    thread = "" if is_direct_message or not body.thread_id else f":{body.thread_id}"
    return f"slack:{body.slack_team_id}:{body.channel_id}{thread}"


def _email_key(body: RequestBody, _caller: Caller) -> str:
    assert isinstance(body, EmailRequest)
    first = body.references[0] if body.references else body.in_reply_to
    return f"email:{(first or body.message_id).strip()}"


def _tool_key(body: RequestBody, caller: Caller) -> str:
    """Two systems may use the same names, so the key's id stands in front."""
    assert isinstance(body, ToolRequest)
    return f"{caller.id}:{body.tool_id}:{body.tool_instance_id}" if body.tool_instance_id else ""


_KEYS: dict[type[RequestBody], Callable[[RequestBody, Caller], str]] = {
    SlackRequest: _slack_key,
    EmailRequest: _email_key,
    ToolRequest: _tool_key,
}
