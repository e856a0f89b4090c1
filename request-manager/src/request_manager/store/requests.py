"""Statements about a stored request: complete, state, reads, wishes for an end, feedback."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from shared_models.api import FeedbackBody, FeedbackView, RequestItem
from shared_models.database import Database
from shared_models.enums import DeliveryStatus, IntegrationType, RequestStatus
from shared_models.schemas import AgentResponse, Person
from shared_models.work_item import WorkItem
from shared_models.work_statements import complete_rows, enqueue

from request_manager.domain.ends import EndReason
from request_manager.domain.results import StoredRequest, StoredResult

RESPONSES_QUEUE = "request-manager.responses"
ENDS_QUEUE = "request-manager.ends"
DELIVERY_ORDER = [
    DeliveryStatus.PENDING,
    DeliveryStatus.RETRYING,
    DeliveryStatus.CANCELLED,
    DeliveryStatus.EXPIRED,
    DeliveryStatus.FAILED,
    DeliveryStatus.DELIVERED,
]
"""A delivery state only moves forward in this order, however late its events come."""

RESULT_COLUMNS = """
r.request_id, r.session_id, r.user_id, r.caller, r.status, r.integration_type, r.response, r.error, r.deliveries,
r.metadata, r.end_wish = 'cancelled' as is_cancelling, r.created_at, r.ended_at, r.purged_at
"""

# The answers of a batch are of different sessions. Locks in the order request, person, conversation, lanes, as accepting
# takes them: hence the subqueries on all that comes before. One step of a chain is not enough: where `work` has no row to
# give, it runs without them.
COMPLETE = f"""
with ends as (
  select * from unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bool[], $9::bool[],
    $10::bigint[], $11::int[]
  ) as i (
    request_id, status, response, error, error_code, agent, ended_at, session_ended, announce, item, claim
  )
),
ended as (
  update request_logs r
  set status = i.status, response = i.response::json, error = i.error::json, error_code = i.error_code, agent = i.agent,
      ended_at = i.ended_at, session_ended = i.session_ended
  from ends i
  where r.request_id = i.request_id and r.ended_at is null
  returning {RESULT_COLUMNS}, r.session_ended, r.wants_delivery and i.announce as is_to_tell
),
freed as (
  update users u set open_requests = greatest(u.open_requests - e.ended, 0)
  from (select user_id, count(*) as ended from ended group by user_id) e where u.user_id = e.user_id
  returning u.user_id
),
closed as (
  update conversations c set status = 'closed', closed_at = now()
  from ended e, (select count(*) from freed) as after_person
  where c.session_id = e.session_id and e.session_ended and c.status = 'active'
  returning c.session_id
),
work as (
  select '{RESPONSES_QUEUE}' as queue, e.session_id::text as key, null::bigint as seq, e.request_id::text as ref,
         '{{}}'::jsonb as payload, $12::text as worker
  from ended e, (select count(*) from freed) as after_person, (select count(*) from closed) as after_conversation
  where e.is_to_tell
),
{enqueue("told", "work")},
handed_over as (
  select item, claim from ends, (select count(*) from freed) as after_person,
                          (select count(*) from closed) as after_conversation, (select count(*) from told) as after_told
),
{complete_rows("done", "handed_over", worker="$13")}
select i.request_id as asked, e.*, told.id as item_id, told.key as item_key, told.leased_by as item_worker,
       coalesce(done_lane.pending, 0) as lane_pending
from ends i
left join ended e on e.request_id = i.request_id
left join told on told.ref = i.request_id::text
left join done on done.id = i.item
left join done_lane on done_lane.queue = done.queue and done_lane.key = done.key
"""

PROCESSING = "update request_logs set status = 'processing' where request_id = $1 and status = 'accepted'"

DELIVERY = """
update request_logs set deliveries = deliveries || jsonb_build_object($2::text, $3::text)
where request_id = $1
  and coalesce(array_position($4::text[], deliveries ->> $2), 0) < array_position($4::text[], $3)
"""

RESULT = f"select {RESULT_COLUMNS} from request_logs r where r.request_id = $1"
ENDED = f"select {RESULT_COLUMNS} from request_logs r where r.request_id = any($1::uuid[]) and r.ended_at is not null"

REQUEST = f"""
select {RESULT_COLUMNS}, u.email, u.name, r.sequence, r.request_type, r.content, r.extra,
       c.key as conversation_key, r.named_session, r.stream, r.retry_of, r.session_ended, r.deadline_at
from request_logs r join users u on u.user_id = r.user_id join conversations c on c.session_id = r.session_id
where r.request_id = $1
"""

ITEMS = """
select request_id, session_id, user_id, status, integration_type, request_type, left(content, 200) as excerpt, agent,
       error_code, retry_of, created_at, ended_at as completed_at
from request_logs where {conditions} order by request_id desc limit $1
"""

ONE_BEFORE_OPEN = """
select exists(select from request_logs where session_id = $1 and sequence < $2 and ended_at is null)
"""

OPEN_OF_SESSION = "select request_id from request_logs where session_id = $1 and ended_at is null order by request_id"

WISH_END = f"""
with wished as (
  update request_logs set end_wish = $2, end_wished_at = now()
  where request_id = $1 and ended_at is null
    and (end_wish is distinct from $2 or end_wished_at < now() - interval '1 minute')
  returning request_id
),
work as (
  select '{ENDS_QUEUE}' as queue, null::text as key, null::bigint as seq, request_id::text as ref,
         jsonb_build_object('reason', $2::text) as payload, $3::text as worker
  from wished
),
{enqueue("item", "work")}
select id, leased_by from item
"""

GIVE_FEEDBACK = """
insert into feedback (request_id, user_id, rating, reason) values ($1, $2, $3, $4) returning rating, reason, created_at
"""
LATEST_FEEDBACK = """
select rating, reason, created_at from feedback where request_id = $1 order by feedback_id desc limit 1
"""


@dataclass(frozen=True)
class Completion:
    """`result` None: the request had ended before, or is not known. `told`: the dispatcher's item, own or to be claimed."""

    result: StoredResult | None
    told: WorkItem | None
    is_told_by_others: bool
    lane_pending: int


@dataclass(frozen=True)
class Ended:
    """An end to be written. `announce`: queue it for the dispatcher; `item`: the hand-over that brought it, to be completed."""

    answer: AgentResponse
    announce: bool
    item: WorkItem | None = None

    def values(self) -> tuple[object, ...]:
        """One element of each array of COMPLETE, in their order."""
        answer, item = self.answer, self.item
        return (
            answer.request_id,
            answer.status.value,
            answer.response.model_dump_json() if answer.response is not None else None,
            answer.error.model_dump_json() if answer.error is not None else None,
            answer.error.code if answer.error is not None else None,
            answer.response.agent.name if answer.response is not None else None,
            answer.ended_at,
            answer.session_ended,
            self.announce,
            item.id if item is not None else None,
            item.claim if item is not None else None,
        )


async def complete_requests(
    database: Database, ends: Sequence[Ended], *, worker: str | None, owner: str
) -> list[Completion]:
    """Write ends of different sessions, forward only, with everything that follows from them, in one statement.

    `worker` is to tell the dispatcher; `owner` holds the leases of the items."""
    columns = zip(*(end.values() for end in ends), strict=True)
    rows = await database.fetch(COMPLETE, *map(list, columns), worker, owner)
    found = {row["asked"]: row for row in rows}
    # The same end twice (an event that came again): the second has found it written.
    return [_completion(found.pop(end.answer.request_id, None), worker) for end in ends]


def _completion(row: asyncpg.Record | None, worker: str | None) -> Completion:
    if row is None:
        return Completion(None, None, is_told_by_others=False, lane_pending=0)
    told = None
    if row["item_id"] is not None and worker is not None and row["item_worker"] == worker:
        told = WorkItem(row["item_id"], RESPONSES_QUEUE, row["item_key"], str(row["request_id"]), {})
    return Completion(
        result=_result(row) if row["request_id"] is not None else None,
        told=told,
        is_told_by_others=row["item_id"] is not None and told is None,
        lane_pending=row["lane_pending"],
    )


async def mark_processing(database: Database, request_id: UUID) -> None:
    await database.execute(PROCESSING, request_id)


async def record_delivery(
    database: Database, request_id: UUID, integration: IntegrationType, status: DeliveryStatus
) -> None:
    order = [state.value for state in DELIVERY_ORDER]
    await database.execute(DELIVERY, request_id, integration.value, status.value, order)


async def result(database: Database, request_id: UUID) -> StoredResult | None:
    row = await database.fetchrow(RESULT, request_id)
    return _result(row) if row is not None else None


async def ended_results(database: Database, request_ids: list[UUID]) -> list[StoredResult]:
    """Those of the requests that have ended."""
    return [_result(row) for row in await database.fetch(ENDED, request_ids)]


async def request(database: Database, request_id: UUID) -> StoredRequest | None:
    row = await database.fetchrow(REQUEST, request_id)
    if row is None:
        return None
    return StoredRequest(
        result=_result(row),
        person=Person(user_id=row["user_id"], email=row["email"], name=row["name"]),
        caller=row["caller"],
        sequence=row["sequence"],
        request_type=row["request_type"],
        content=row["content"],
        extra=row["extra"],
        conversation_key=row["conversation_key"],
        named_session=row["named_session"],
        stream=row["stream"],
        retry_of=row["retry_of"],
        session_ended=row["session_ended"],
        deadline_at=row["deadline_at"],
    )


@dataclass(frozen=True)
class Filter:
    """None: any."""

    user_id: UUID | None
    session_id: UUID | None = None
    status: RequestStatus | None = None


async def items(database: Database, wanted: Filter, *, before: UUID | None, limit: int) -> list[RequestItem]:
    """The newest first, older than `before`. Only what is asked for stands in the statement, so that its index is used."""
    given: list[tuple[str, object]] = [
        ("user_id =", wanted.user_id),
        ("session_id =", wanted.session_id),
        ("status =", wanted.status.value if wanted.status is not None else None),
        ("request_id <", before),
    ]
    asked = [(column, value) for column, value in given if value is not None]
    conditions = [f"{column} ${number}" for number, (column, _) in enumerate(asked, start=2)]
    statement = ITEMS.format(conditions=" and ".join(conditions) or "true")
    rows = await database.fetch(statement, limit, *(value for _, value in asked))
    return [RequestItem.model_validate(dict(row)) for row in rows]


async def open_requests(database: Database, session_id: UUID) -> list[UUID]:
    return [row["request_id"] for row in await database.fetch(OPEN_OF_SESSION, session_id)]


async def is_one_before_open(database: Database, stored: StoredRequest) -> bool:
    """Whether an earlier request of the same conversation has not ended."""
    return bool(await database.fetchval(ONE_BEFORE_OPEN, stored.result.session_id, stored.sequence))


async def wish_end(database: Database, request_id: UUID, reason: EndReason, worker: str | None) -> WorkItem | None:
    """Note that an end is wanted and queue the asking. None: ended, wished a moment ago, or leased to nobody."""
    row = await database.fetchrow(WISH_END, request_id, reason.value, worker)
    if row is None or row["leased_by"] is None:
        return None
    return WorkItem(row["id"], ENDS_QUEUE, None, str(request_id), {"reason": reason.value})


async def give_feedback(database: Database, request_id: UUID, user_id: UUID, body: FeedbackBody) -> FeedbackView:
    row = await database.fetchrow(GIVE_FEEDBACK, request_id, user_id, body.rating, body.reason)
    assert row is not None
    return FeedbackView.model_validate(dict(row))


async def latest_feedback(database: Database, request_id: UUID) -> FeedbackView | None:
    row = await database.fetchrow(LATEST_FEEDBACK, request_id)
    return FeedbackView.model_validate(dict(row)) if row is not None else None


def _result(row: asyncpg.Record) -> StoredResult:
    created_at: datetime = row["created_at"]
    return StoredResult(
        request_id=row["request_id"],
        session_id=row["session_id"],
        user_id=row["user_id"],
        caller=row["caller"],
        status=RequestStatus(row["status"]),
        integration_type=IntegrationType(row["integration_type"]),
        response=row["response"],
        error=row["error"],
        deliveries=row["deliveries"],
        metadata=row["metadata"],
        is_cancelling=bool(row["is_cancelling"]),
        created_at=created_at,
        ended_at=row["ended_at"],
        purged_at=row["purged_at"],
    )
