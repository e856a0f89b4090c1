"""Finding an object for a caller. A foreign one is not there."""

from uuid import UUID

from shared_models.errors import NotFound

from request_manager.domain.callers import Caller
from request_manager.domain.results import StoredRequest, StoredResult
from request_manager.parts import Parts
from request_manager.store import requests as store
from request_manager.store import sessions
from request_manager.store.sessions import Conversation


async def own_request(parts: Parts, caller: Caller, request_id: UUID) -> StoredRequest:
    """Raises NotFound."""
    stored = await store.request(parts.database, request_id)
    if stored is None:
        raise NotFound
    caller.require_own(stored.result.user_id, stored.caller)
    return stored


async def own_result(parts: Parts, caller: Caller, request_id: UUID) -> StoredResult:
    """Raises NotFound."""
    stored = await visible_result(parts, caller, request_id)
    caller.require_own(stored.user_id, stored.caller)
    return stored


async def visible_result(parts: Parts, caller: Caller, request_id: UUID) -> StoredResult:
    """The caller's own, or for an operator anybody's: then only its state may be shown. Raises NotFound."""
    stored = await store.result(parts.database, request_id)
    if stored is None or not (caller.owns(stored.user_id, stored.caller) or caller.is_operator):
        raise NotFound
    return stored


async def own_conversation(parts: Parts, caller: Caller, session_id: UUID) -> Conversation:
    """Raises NotFound."""
    found = await sessions.conversation(parts.database, session_id)
    if found is None:
        raise NotFound
    caller.require_own(found.user_id)
    return found
