"""The dead work items of one service: listed, read, made due again, discarded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from shared_models.database import Database
from shared_models.dead_letters import ATTRIBUTES, PURGED, short_attribute
from shared_models.enums import ServiceName
from shared_models.errors import Gone, NotFound
from shared_models.events import EventType
from shared_models.notifier import Notifier
from shared_models.operations import DeadLetterDetail, DeadLetterFilter, DeadLetterKind, DeadLetterView, Place
from shared_models.work_queue import WorkQueue
from shared_models.work_statements import replay

MAX_ID_DIGITS = 18
FACTS = (
    "delivery_id",
    "integration",
    "status",
    "reason",
    "size_bytes",
    "knativeerrordest",
    "knativeerrorcode",
    "knativeerrordata",
)

KIND = f"""
case when split_part(queue, '.', 2) in ('requests', 'runs', 'ends', 'inbound') then '{DeadLetterKind.REQUEST}'
     when split_part(queue, '.', 2) = 'deliveries' then '{DeadLetterKind.DELIVERY}'
     when queue = 'request-manager.dead-events' and payload -> 'event' ->> 'type' = '{EventType.REQUEST_CREATED}'
       then '{DeadLetterKind.REQUEST}'
     else '{DeadLetterKind.EVENT}' end
"""

# Rows of letters; $1 the service, $2 the queues left out. Text is compared by bytes, as Python does where pages are merged.
WORK_ITEMS = f"""
select ($1::text || ':' || id) collate "C" as id, $1 as service, {KIND} as kind, queue,
       case when not payload ? 'close' then coalesce(payload -> 'event' ->> 'requestid', ref) else '' end as ref,
       coalesce(last_error, '') as cause, attempts, lost, created_at, dead_at,
       not payload ? '{PURGED}' and payload -> 'body' is distinct from 'null' as replayable, payload
from work_items
where dead_at is not null and starts_with(queue, $1 || '.') and not queue = any($2::text[])
"""
COLUMNS = "id, service, kind, queue, ref, cause, attempts, lost, created_at, dead_at, replayable"
PAGE = f"""
select {COLUMNS} from ({{letters}}) letter
where ($3::text is null or kind = $3) and ($4::text is null or queue = $4)
  and ($5::text is null or strpos(lower(cause), lower($5)) > 0)
  and ($6::float8 is null or dead_at <= now() - $6 * interval '1 second')
  and ($7::float8 is null or dead_at >= now() - $7 * interval '1 second')
  and ($8::timestamptz is null or (dead_at, id) < ($8, $9::text collate "C"))
order by dead_at desc, id desc limit $10
"""
ONE = f"select {COLUMNS}, payload from ({{letters}}) letter where id = $3"
DISCARD = "delete from work_items where id = $1 and starts_with(queue, $2 || '.') and dead_at is not null returning id"


class DeadLetterBox(Protocol):
    """`letter_id` as in `DeadLetterView.id`. All raise Unavailable."""

    async def page(self, wanted: DeadLetterFilter, before: Place | None, limit: int) -> list[DeadLetterView]:
        """The newest first, older than `before`."""

    async def read(self, letter_id: str) -> DeadLetterDetail:
        """Raises NotFound."""

    async def replay(self, letter_id: str) -> None:
        """Make it due again, from its first try on. Raises NotFound, Gone, Conflict."""

    async def discard(self, letter_id: str) -> None:
        """Forget it: it needs nothing any more. Raises NotFound."""


@dataclass(frozen=True)
class WorkItemBox:
    """`wake` tells a queue, here and in other processes, that a row is due. `letters` selects the rows, see WORK_ITEMS.

    `hidden`: queues that are told of in another way."""

    database: Database
    service: ServiceName
    wake: Callable[[str], None]
    letters: str = WORK_ITEMS
    hidden: list[str] = field(default_factory=list)

    async def page(self, wanted: DeadLetterFilter, before: Place | None, limit: int) -> list[DeadLetterView]:
        if wanted.service not in (None, self.service):
            return []
        rows = await self.database.fetch(
            PAGE.format(letters=self.letters),
            self.service.value,
            self.hidden,
            wanted.kind,
            wanted.queue,
            wanted.cause,
            wanted.older_than_s,
            wanted.newer_than_s,
            before.dead_at if before else None,
            before.id if before else None,
            limit,
        )
        return [DeadLetterView.model_validate(_view(row)) for row in rows]

    async def read(self, letter_id: str) -> DeadLetterDetail:
        row = await self._row(letter_id)
        return DeadLetterDetail.model_validate(_view(row) | _metadata(row["payload"]))

    async def replay(self, letter_id: str) -> None:
        number, row = self._number(letter_id), await self._row(letter_id)
        if not row["replayable"]:
            raise Gone("Its content was too large, or was removed after its time, so it cannot be done again.")
        if not await replay(self.database, number, [row["queue"]]):
            raise NotFound
        self.wake(row["queue"])

    async def discard(self, letter_id: str) -> None:
        if await self.database.fetchval(DISCARD, self._number(letter_id), self.service.value) is None:
            raise NotFound

    async def _row(self, letter_id: str) -> asyncpg.Record:
        row = await self.database.fetchrow(ONE.format(letters=self.letters), self.service.value, self.hidden, letter_id)
        if row is None:
            raise NotFound
        return row

    def _number(self, letter_id: str) -> int:
        service, _, number = letter_id.partition(":")
        if service != self.service.value or not (
            number.isascii() and number.isdigit() and len(number) <= MAX_ID_DIGITS
        ):
            raise NotFound
        return int(number)


def waker(queues: Sequence[WorkQueue], notifier: Notifier) -> Callable[[str], None]:
    """Tells the queue of a name that there is work: here, and in the other processes."""
    own = {queue.name: queue for queue in queues}

    def wake(name: str) -> None:
        if name in own:
            own[name].wake()
        notifier.notify(name)

    return wake


def _view(row: asyncpg.Record) -> dict[str, Any]:
    names = ("id", "service", "kind", "queue", "cause", "attempts", "lost", "created_at", "dead_at", "replayable")
    return {name: row[name] for name in names} | {"request_id": _uuid(row["ref"])}


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None  # a digest of 32 digits is no id
    except ValueError:
        return None


def _metadata(payload: dict[str, Any]) -> dict[str, Any]:
    """Of a payload its attributes and known facts; whatever else it holds may be a person's words."""
    event = payload.get("event", payload)
    event = event if isinstance(event, dict) else {}
    more = payload.get("extensions", {})
    more = more if isinstance(more, dict) else {}
    attributes = {
        name: short_attribute(event.get(name, more.get(name))) for name in ATTRIBUTES if name in event or name in more
    }
    facts = {name: short_attribute(source[name]) for source in (event, payload) for name in FACTS if name in source}
    return {"event": attributes, "facts": facts}
