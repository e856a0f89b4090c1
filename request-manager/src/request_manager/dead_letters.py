"""The operators' desk: the dead letters of all three services in one list, replayed one by one or by filter.

Each service keeps its own; this asks their boxes. A request that has ended stays ended: replaying it asks its question
again, as a new request of the same person."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared_models.database import Database
from shared_models.dead_letter_box import DeadLetterBox
from shared_models.enums import RequestStatus, ServiceName
from shared_models.errors import Conflict, Gone, NotFound, ServiceError, UpstreamUnavailable
from shared_models.ids import new_id
from shared_models.logging import get_logger
from shared_models.operations import (
    DeadLetterDetail,
    DeadLetterFilter,
    DeadLetterKind,
    DeadLetterPage,
    DeadLetterQuery,
    DeadLetterView,
    NotReplayed,
    Place,
    Replayed,
    ReplayFilter,
    ReplayResult,
    merged,
    page_of,
)

from request_manager.domain.callers import Caller
from request_manager.domain.normalizer import Arrival
from request_manager.domain.results import StoredRequest
from request_manager.domain.retry import again
from request_manager.processor import UnifiedRequestProcessor
from request_manager.store import dead_letters as store
from request_manager.store import requests
from request_manager.store.requests import ENDS_QUEUE

REPLAYED_AT_ONCE = 10
MAX_REPLAYED = 100
GIVEN_UP = (RequestStatus.FAILED, RequestStatus.EXPIRED)

log = get_logger(__name__)


@dataclass(frozen=True)
class DeadLetterDesk:
    """`boxes` by the name of their service. All methods raise Unavailable, and UpstreamUnavailable when the service that has the letter is away."""

    boxes: Mapping[str, DeadLetterBox]
    database: Database
    processor: UnifiedRequestProcessor

    async def page(self, wanted: DeadLetterQuery) -> DeadLetterPage:
        """The newest first. Raises InvalidRequest for a bad cursor."""
        return await self._page(wanted, Place.read(wanted.cursor), wanted.limit)

    async def read(self, letter_id: str) -> DeadLetterDetail:
        """Raises NotFound."""
        return await self._box(letter_id).read(letter_id)

    async def discard(self, letter_id: str, operator: Caller) -> None:
        """Raises NotFound."""
        await self._box(letter_id).discard(letter_id)
        log.info("dead_letter_discarded", dead_letter=letter_id, operator=operator.id)

    async def replay(self, letter_id: str, operator: Caller) -> Replayed:
        """Raises NotFound, Conflict, Gone, and what accepting a request raises."""
        box = self._box(letter_id)
        letter = await box.read(letter_id)
        stored = await self._request_of(letter)
        if stored is not None and stored.result.ended_at is not None:
            return await self._ask_again(letter, stored, operator)
        if stored is not None:
            await store.take_wish_back(self.database, stored.result.request_id)
        await box.replay(letter_id)
        log.info("dead_letter_replayed", dead_letter=letter_id, operator=operator.id)
        return Replayed(id=letter_id)

    async def replay_all(self, wanted: ReplayFilter, operator: Caller) -> ReplayResult:
        """The next 100 that fit, behind the filter's cursor. Letters that die again meanwhile are newer, so not among them."""
        page = await self._page(wanted, Place.read(wanted.cursor), MAX_REPLAYED)
        outcomes: list[Replayed | NotReplayed] = []
        for start in range(0, len(page.items), REPLAYED_AT_ONCE):
            some = page.items[start : start + REPLAYED_AT_ONCE]
            outcomes += await asyncio.gather(*(self._try(letter.id, operator) for letter in some))
        return ReplayResult(
            replayed=[outcome for outcome in outcomes if isinstance(outcome, Replayed)],
            not_replayed=[outcome for outcome in outcomes if isinstance(outcome, NotReplayed)],
            next_cursor=page.next_cursor,
            unreachable=page.unreachable,
        )

    async def _try(self, letter_id: str, operator: Caller) -> Replayed | NotReplayed:
        try:
            return await self.replay(letter_id, operator)
        except ServiceError as exc:
            words = exc.detail if exc.tells_detail and exc.detail else exc.title
            return NotReplayed(id=letter_id, code=exc.code, message=words)

    async def _page(self, wanted: DeadLetterFilter, before: Place | None, limit: int) -> DeadLetterPage:
        asked = [self._ask(service, box, wanted, before, limit + 1) for service, box in self.boxes.items()]
        found: list[list[DeadLetterView]] = []
        unreachable: list[ServiceName] = []
        for service, letters in await asyncio.gather(*asked):
            if letters is None:
                unreachable.append(service)
            else:
                found.append(letters)
        return page_of(merged(found, limit + 1), limit, unreachable)

    async def _ask(
        self, service: str, box: DeadLetterBox, wanted: DeadLetterFilter, before: Place | None, limit: int
    ) -> tuple[ServiceName, list[DeadLetterView] | None]:
        try:
            return ServiceName(service), await box.page(wanted, before, limit)
        except UpstreamUnavailable:
            return ServiceName(service), None

    def _box(self, letter_id: str) -> DeadLetterBox:
        box = self.boxes.get(letter_id.partition(":")[0])
        if box is None:
            raise NotFound
        return box

    async def _request_of(self, letter: DeadLetterView) -> StoredRequest | None:
        """The request that a letter stands for as a whole. None for the other kinds, and for the asking for an end."""
        if letter.kind is not DeadLetterKind.REQUEST or letter.queue == ENDS_QUEUE or letter.request_id is None:
            return None
        stored = await requests.request(self.database, letter.request_id)
        if stored is None:
            raise Gone("The request is not kept any more.")
        return stored

    async def _ask_again(self, letter: DeadLetterView, stored: StoredRequest, operator: Caller) -> Replayed:
        """Once per letter: the idempotency key is the letter's id."""
        if stored.result.status not in GIVEN_UP:
            raise Conflict(
                f"Its request has ended meanwhile: {stored.result.status.value}.", hint="Discard the dead letter."
            )
        if stored.result.purged_at is not None:
            raise Gone
        now = self.processor.now()
        arrival = Arrival(
            request_id=new_id(),
            caller=operator,
            user_id=stored.result.user_id,
            created_at=now,
            deadline_at=now + self.processor.limits.deadline,
            idempotency_key=f"dead letter {letter.id}",
        )
        request = replace(again(stored, arrival), caller_id=stored.caller)
        accepted = await self.processor.accept(request, is_awaited=False)
        await self._box(letter.id).discard(letter.id)
        log.info("dead_letter_asked_again", dead_letter=letter.id, operator=operator.id)
        return Replayed(id=letter.id, request_id=accepted.request_id)
