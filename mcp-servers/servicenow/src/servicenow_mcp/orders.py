"""Orders a laptop refresh at most once: one ticket per confirmation, one open refresh per laptop.

ServiceNow has no idempotency key, so the confirmation's id and the serial number travel on the order and are looked up
before it, after any unclear failure, and once more after it (another replica may have ordered at the same moment)."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared_models import faults
from shared_models.logging import get_logger

from servicenow_mcp.backend import Backend, Order
from servicenow_mcp.domain.laptops import Laptop
from servicenow_mcp.errors import Busy, Effect, OrderUnclear, ServiceNowFault
from servicenow_mcp.locks import KeyedLocks
from servicenow_mcp.records import Employee, RequestItem
from servicenow_mcp.results import TicketStatus
from servicenow_mcp.variables import CORRELATION_ID, JUSTIFICATION, LAPTOP_CHOICES, REQUESTED_FOR, SERIAL_NUMBER

ORDER_ATTEMPTS = 3
LOOKS_AFTER_SILENCE = 3
FIRST_PAUSE_S = 0.5
NEW_STATE = "Open"

log = get_logger(__name__)


@dataclass(frozen=True)
class RefreshOrder:
    """`intent`: the id of the confirmation, kept on the ticket as its correlation id."""

    person: Employee
    laptop: Laptop
    laptop_code: str
    justification: str
    intent: str

    def variables(self) -> dict[str, str]:
        return {
            LAPTOP_CHOICES: self.laptop_code,
            REQUESTED_FOR: self.person.sys_id,
            JUSTIFICATION: self.justification,
            SERIAL_NUMBER: self.laptop.serial_number,
            CORRELATION_ID: self.intent,
        }


@dataclass(frozen=True)
class Placed:
    """The ticket that now stands for an order."""

    status: TicketStatus
    number: str
    request_id: str
    laptop_code: str
    serial_number: str
    team: str
    state: str
    opened_at: datetime


@dataclass(frozen=True)
class OrderBook:
    """`pause_s`: how long to wait before the first second look after a silence; it doubles."""

    backend: Backend
    pause_s: float = FIRST_PAUSE_S
    locks: KeyedLocks = field(default_factory=KeyedLocks)

    async def placed_by(self, person: Employee, intent: str) -> Placed | None:
        """Return the ticket that this confirmation led to, if it did, whatever became of it since."""
        return _of_intent(await self.backend.refresh_items(person), intent)

    async def place(self, order: RefreshOrder) -> Placed:
        """Return the ticket of this order: found, or ordered now. Raises ServiceNowFault, OrderUnclear."""
        async with self.locks.hold(order.laptop.sys_id):
            standing = _standing(await self.backend.refresh_items(order.person), order)
            if standing is not None:
                return standing
            made = await self._order(order)
            return made if isinstance(made, Placed) else await self._settle(order, made)

    async def _order(self, order: RefreshOrder) -> Order | Placed:
        """Order, and after a failure look whether it took effect before ordering again."""
        for attempt in range(1, ORDER_ATTEMPTS + 1):
            try:
                await faults.fault("servicenow_mcp.order.before_send", order.intent)
                placed = await self.backend.order(order.variables(), order.person)
                await faults.fault("servicenow_mcp.order.sent", order.intent)
                return placed
            except ServiceNowFault as fault:
                is_unknown = fault.effect is Effect.UNKNOWN
                may_still_come = is_unknown and fault.may_still_run
                pause_s = self._pause_s(fault, attempt)
                may_repeat = fault.is_passing and attempt < ORDER_ATTEMPTS and pause_s <= self.backend.rest.timeout_s
                if is_unknown or may_repeat:
                    found = await self._look_again(order, fault, looks=LOOKS_AFTER_SILENCE if may_still_come else 1)
                    if found is not None:
                        return found
                if may_still_come:
                    raise OrderUnclear(fault.cause) from fault
                if not may_repeat:
                    raise
                log.warning("order_repeated", cause=fault.cause, attempt=attempt)
                await asyncio.sleep(pause_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _pause_s(self, fault: ServiceNowFault, attempt: int) -> float:
        if isinstance(fault, Busy) and fault.retry_after_s is not None:
            return fault.retry_after_s
        return self.pause_s * attempt

    async def _look_again(self, order: RefreshOrder, fault: ServiceNowFault, looks: int) -> Placed | None:
        """Look for the ticket of an order that failed: several times while it may still be running."""
        for look in range(looks):
            try:
                found = _of_intent(await self.backend.refresh_items(order.person), order.intent)
            except ServiceNowFault as blind:
                # Not seeing is not knowing: ordering again now could make a second ticket.
                if fault.effect is Effect.NONE:
                    raise fault from blind
                raise OrderUnclear(f"{fault.cause}; then {blind.cause}") from fault
            if found is not None:
                return found
            if look + 1 < looks:
                await asyncio.sleep(self.pause_s * 2**look)
        return None

    async def _settle(self, order: RefreshOrder, made: Order) -> Placed:
        """Read the new ticket back. When another one stands for this laptop or confirmation, the older one stays."""
        try:
            items = await self.backend.refresh_items(order.person)
        except ServiceNowFault as fault:
            log.warning("ticket_not_read_back", ticket_number=made.number, cause=fault.cause)
            return _fresh(order, made)
        mine = next((item for item in items if item.request_id == made.request_id), None)
        if mine is None or mine.correlation_id != order.intent or mine.serial_number != order.laptop.serial_number:
            log.error("ticket_without_our_ids", ticket_number=made.number, fix="run the ServiceNow doctor")
            return _fresh(order, made)
        oldest = next(item for item in items if _is_twin(item, order))
        if oldest.request_id == mine.request_id:
            return _placed(mine, TicketStatus.OPENED)
        log.warning("duplicate_ticket", ticket_number=mine.request_number, kept=oldest.request_number)
        await self.backend.cancel(mine, f"Duplicate of {oldest.request_number}, ordered at the same moment.")
        return _found(oldest, order)


def _standing(items: list[RequestItem], order: RefreshOrder) -> Placed | None:
    """Return the ticket that makes an order needless: of the same confirmation, or open for the same laptop."""
    own = _of_intent(items, order.intent)
    if own is not None:
        return own
    twin = next((item for item in items if _is_twin(item, order)), None)
    return None if twin is None else _found(twin, order)


def _of_intent(items: list[RequestItem], intent: str) -> Placed | None:
    """Return the ticket of a confirmation. Was it closed as a duplicate, the open one for its laptop stands for it."""
    own = next((item for item in items if item.correlation_id == intent), None)
    if own is None:
        return None
    if own.is_open:
        return _placed(own, TicketStatus.OPENED)
    twin = next((item for item in items if item.is_open and _same(item.serial_number, own.serial_number)), None)
    return _placed(own, TicketStatus.OPENED) if twin is None else _placed(twin, TicketStatus.ALREADY_OPEN)


def _is_twin(item: RequestItem, order: RefreshOrder) -> bool:
    is_open_for_laptop = item.is_open and _same(item.serial_number, order.laptop.serial_number)
    return item.correlation_id == order.intent or is_open_for_laptop


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _found(item: RequestItem, order: RefreshOrder) -> Placed:
    is_own = item.correlation_id == order.intent
    return _placed(item, TicketStatus.OPENED if is_own else TicketStatus.ALREADY_OPEN)


def _placed(item: RequestItem, status: TicketStatus) -> Placed:
    return Placed(
        status=status,
        number=item.request_number or item.number,
        request_id=item.request_id,
        laptop_code=item.laptop_code,
        serial_number=item.serial_number,
        team=item.team,
        state=item.state,
        opened_at=item.opened_at or datetime.now(UTC),
    )


def _fresh(order: RefreshOrder, made: Order) -> Placed:
    """The ticket as ordered, when it cannot be read back."""
    return Placed(
        status=TicketStatus.OPENED,
        number=made.number,
        request_id=made.request_id,
        laptop_code=order.laptop_code,
        serial_number=order.laptop.serial_number,
        team="",
        state=NEW_STATE,
        opened_at=datetime.now(UTC),
    )
