"""A person asks an ended request's question again."""

import hashlib

import orjson

from request_manager.domain.normalizer import Arrival, IncomingRequest
from request_manager.domain.results import Extra, StoredRequest


def again(stored: StoredRequest, arrival: Arrival) -> IncomingRequest:
    """The same question in the same conversation, as a new request."""
    extra = Extra.load(stored.extra)
    result = stored.result
    keyed = arrival.idempotency_key is not None
    return IncomingRequest(
        request_id=arrival.request_id,
        user_id=result.user_id,
        caller_id=arrival.caller.id,
        integration_type=result.integration_type,
        request_type=stored.request_type,
        content=stored.content or "",
        session_id=result.session_id,
        conversation_key="",
        metadata=orjson.loads(result.metadata),
        context=extra.context,
        delivery=extra.delivery,
        confirm=extra.confirm,
        stream=stored.stream,
        created_at=arrival.created_at,
        deadline_at=arrival.deadline_at,
        retry_of=result.request_id,
        idempotency_key=arrival.idempotency_key,
        body_hash=hashlib.sha256(b"retry " + result.request_id.bytes).digest() if keyed else None,
    )
