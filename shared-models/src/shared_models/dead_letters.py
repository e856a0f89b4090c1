"""Dead letters of events: what a service refused is kept as a dead work item, which the operators list and replay.

A dead letter is a row of `work_items` with `dead_at`, whatever it is about; this file makes those that were never live."""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
import orjson
from pydantic import ValidationError

from shared_models.causes import MAX_CAUSE_LENGTH
from shared_models.database import Database
from shared_models.enums import ServiceName
from shared_models.errors import ServiceError
from shared_models.events import CloudEvent, parse_http
from shared_models.telemetry import EVENTS_REFUSED
from shared_models.work_item import Completed, GiveUp, WorkItem
from shared_models.work_queue import WorkQueue

MAX_HEADERS = 64
MAX_HEADER_CHARS = 4096
MAX_ATTRIBUTE_CHARS = 200
MAX_LENGTH_DIGITS = 18
PURGED = "purged"
"""The key in the payload of a dead letter whose content was removed after its time."""
ATTRIBUTES = ("type", "id", "source", "subject", "requestid", "sessionid", "time")
"""What an operator is shown of an event: its metadata, never its data."""

# Two statements: the second must see what another delivery of the same event has kept meanwhile. A row that is being
# replayed is about to be deleted: what comes back meanwhile makes a new one.
LOCK = "select pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))"
KEEP = """
with known as (
  update work_items
  set attempts = least(attempts + 1, 32767), last_error = $4, dead_at = now()
  where queue = $1 and ref = $2 and dead_at is not null
  returning id
)
insert into work_items (queue, ref, payload, attempts, last_error, dead_at)
select $1, $2, $3, 1, $4, now() where not exists (select from known)
"""


def refused_queue(service: ServiceName) -> str:
    """The queue whose dead rows are the events that `service` has refused."""
    return f"{service.value}.refused"


async def keep_refused(
    database: Database, service: ServiceName, *, headers: Mapping[str, str], body: bytes | None, cause: str
) -> None:
    """Keep an event that this service will never take. Refused again, it stays one row, whose attempts count up.

    Of the headers, names in lower case, only `ce-*` and `content-type` are kept. `body` None: it was too large to be read
    to its end; nothing of it is kept, so that it cannot be replayed. `cause` is read by operators: no content, no secrets.
    Raises Unavailable: nothing was kept."""
    payload = letter(headers, body)
    ref = same_event(payload["headers"], f"{payload['size_bytes']} bytes".encode() if body is None else body)
    await keep(database, refused_queue(service), payload, ref=ref, cause=cause)
    EVENTS_REFUSED.labels(service.value).inc()


async def keep(database: Database, queue: str, payload: dict[str, Any], *, ref: str, cause: str) -> None:
    """Keep something as a dead row of `queue`, once for each `ref`. Raises Unavailable."""
    reason = cause[:MAX_CAUSE_LENGTH].replace("\x00", "")
    async with database.transaction() as tx:
        await tx.execute(LOCK, queue, ref)
        await tx.execute(KEEP, queue, ref, payload, reason)


def letter(headers: Mapping[str, str], body: bytes | None) -> dict[str, Any]:
    """The payload of such a row: `headers`, `body` (base64; null when too large), its size, and `event`, the attributes to show.

    The size of a body that is not here is what was declared, if anything was."""
    kept = dict(
        [
            (name, value.replace("\x00", "")[:MAX_HEADER_CHARS])
            for name, value in sorted(headers.items())
            if name.startswith("ce-") or name == "content-type"
        ][:MAX_HEADERS]
    )
    return {
        "headers": kept,
        "body": None if body is None else base64.b64encode(body).decode(),
        "size_bytes": _declared_size(headers) if body is None else len(body),
        "event": _attributes(kept, body or b""),
    }


def _declared_size(headers: Mapping[str, str]) -> int | None:
    length = headers.get("content-length", "")[:MAX_LENGTH_DIGITS]
    return int(length) if length.isdecimal() else None


def same_event(headers: Mapping[str, str], body: bytes) -> str:
    """What tells one event from another: all that was sent but the trace, which is another one at each try."""
    told = sorted((name, value) for name, value in headers.items() if name not in ("ce-traceparent", "ce-tracestate"))
    return hashlib.sha256(orjson.dumps(told) + b"\n" + body).hexdigest()[:32]


def event_of(item: WorkItem) -> CloudEvent:
    """The kept event. Raises GiveUp when its content is gone, MalformedBody when it cannot be read (still)."""
    body = item.payload.get("body")
    if body is None:
        raise GiveUp("the event's content is not here any more: it was too large, or its time was over")
    return parse_http(item.payload["headers"], base64.b64decode(body))


def refused_events(
    database: Database, worker_id: str, service: ServiceName, take: Callable[[CloudEvent], Awaitable[None]]
) -> WorkQueue:
    """The queue in which a replayed event is taken again, as if it had just come. Refused once more, it is dead again."""

    async def handle(item: WorkItem) -> Completed | None:
        try:
            await take(event_of(item))
        except ServiceError as exc:
            if exc.retryable or exc.status >= 500:
                raise
            raise GiveUp(f"refused again: {exc}") from exc
        except (ValidationError, asyncpg.DataError) as exc:
            raise GiveUp(f"refused again: {type(exc).__name__}") from exc
        return None

    return WorkQueue(database, worker_id, refused_queue(service), handle, concurrency=4)


def _attributes(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    found: dict[str, Any] = {name.removeprefix("ce-"): value for name, value in headers.items()}
    if headers.get("content-type", "").startswith("application/cloudevents"):
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            value = None
        found = value if isinstance(value, dict) else found
    return {name: short_attribute(found[name]) for name in ATTRIBUTES if found.get(name) is not None}


def short_attribute(value: object) -> str:
    return str(value).replace("\x00", "")[:MAX_ATTRIBUTE_CHARS]
