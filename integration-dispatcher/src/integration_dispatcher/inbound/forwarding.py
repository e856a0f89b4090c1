"""Bringing a person's words to request-manager, once for each of the provider's messages."""

from shared_clients.request_manager import RequestManagerClient
from shared_models.api import EmailRequest, SlackRequest
from shared_models.errors import IdempotencyConflict, TooManyRequests, UpstreamRejected, UpstreamUnavailable
from shared_models.work_item import RetryLater

from integration_dispatcher.store.inbound import Ended

ENTRIES: dict[type[SlackRequest | EmailRequest], str] = {SlackRequest: "slack", EmailRequest: "email"}


async def forward(manager: RequestManagerClient, body: SlackRequest | EmailRequest, key: str) -> Ended:
    """Ask; `key` is made of the provider's ids, so that the same message is the same request however often it comes.

    Raises UpstreamUnavailable, RetryLater (this person has asked too much at once), UpstreamRejected."""
    try:
        accepted = await manager.create_request(ENTRIES[type(body)], body, wait_s=0, idempotency_key=key)
    except UpstreamUnavailable as exc:
        if exc.refusal is not None and exc.refusal.status == TooManyRequests.status:
            raise RetryLater("the person has too many requests at once", after_s=exc.retry_after_s) from exc
        raise
    except UpstreamRejected as exc:
        if exc.upstream_code == IdempotencyConflict.code:
            return Ended("ignored", "the same message had come in another form", user_id=body.user_id)
        raise
    return Ended("forwarded", user_id=body.user_id, request_id=accepted.request_id)
