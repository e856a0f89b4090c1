"""Calls of the SMS provider. There only when SMS is set up."""

from html import escape
from uuid import UUID

from fastapi import APIRouter, Request, Response
from shared_models.errors import InvalidRequest, NotFound

from integration_dispatcher.parts import Parts
from integration_dispatcher.routes.dependencies import PartsDep, callers
from integration_dispatcher.sms_callbacks import SmsCallbacks

SIGNATURE = "x-twilio-signature"
MAX_PART = 100


def sms_router() -> APIRouter:
    router = APIRouter(prefix="/sms", tags=["callbacks"])

    @router.post("/status", status_code=204, openapi_extra=callers("provider"))
    async def status(request: Request, parts: PartsDep) -> Response:
        """What became of a message; `delivery` and `part` are in the query. 401 unsigned, 403 wrongly signed."""
        callbacks = _callbacks(parts)
        form = await _signed(request, callbacks)  # before anything else is read
        delivery_id, part = _named(request)
        await callbacks.take_report(form, delivery_id, part)
        return Response(status_code=204)

    @router.post("/inbound", openapi_extra=callers("provider"))
    async def inbound(request: Request, parts: PartsDep) -> Response:
        """A person's text: STOP and START are noted, anything else is answered once a day that nobody reads it."""
        callbacks = _callbacks(parts)
        answer = await callbacks.take_text(await _signed(request, callbacks))
        return Response(twiml(answer), media_type="text/xml")

    return router


def twiml(answer: str) -> str:
    """The reply that sends a text back, or none. Source: https://www.twilio.com/docs/messaging/twiml"""
    message = f"<Message>{escape(answer, quote=False)}</Message>" if answer else ""
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>'


def _callbacks(parts: Parts) -> SmsCallbacks:
    if parts.sms is None:
        raise NotFound
    return parts.sms


def _named(request: Request) -> tuple[UUID, int]:
    """Raises InvalidRequest."""
    query = request.query_params
    try:
        delivery_id, part = UUID(query.get("delivery", "")), int(query.get("part", "1"))
    except ValueError as exc:
        raise InvalidRequest("delivery, part: the id of a delivery, and a number") from exc
    if not 1 <= part <= MAX_PART:
        raise InvalidRequest(f"part: 1 to {MAX_PART}")
    return delivery_id, part


async def _signed(request: Request, callbacks: SmsCallbacks) -> dict[str, str]:
    body = await request.body()
    return callbacks.read(request.url.path, request.url.query, body, request.headers.get(SIGNATURE, ""))
