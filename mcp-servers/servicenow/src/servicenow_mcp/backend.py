"""What this service asks ServiceNow: who is this person, which laptops and requests are theirs, order, cancel.

Every record that comes back is checked to be the caller's: ServiceNow ignores a part of a query that it does not
understand and then answers with everybody's records. Source: ServiceNow, Table API and Service Catalog API."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared_models.logging import get_logger

from servicenow_mcp.domain.laptops import Laptop
from servicenow_mcp.errors import Effect, ForeignRecord, Refusal, ServiceNowFault, Unusable
from servicenow_mcp.query import UnsafeValue, encoded_query
from servicenow_mcp.records import (
    ITEM_FIELDS,
    LAPTOP_FIELDS,
    USER_FIELDS,
    Employee,
    RequestItem,
    Row,
    employee_of,
    is_gone,
    laptop_of,
    request_item_of,
    value,
)
from servicenow_mcp.rest import RestClient

TABLE = "/api/now/table/"
ITEMS = "/api/sn_sc/servicecatalog/items/"
PAGE_SIZE = 50
MAX_ROWS = 500
SYS_ID = re.compile(r"[0-9a-f]{32}")
CLOSED_INCOMPLETE = "4"
NOT_FOUND_WORDS = (
    "I could not find you in ServiceNow under the e-mail address of your sign-in. Please tell the service desk."
)

log = get_logger(__name__)


@dataclass(frozen=True)
class Order:
    """What ServiceNow says of an accepted order: the REQ number and the request's sys_id."""

    number: str
    request_id: str


@dataclass(frozen=True)
class Backend:
    """`catalogue_item`: the sys_id of the item by which a refresh is ordered."""

    rest: RestClient
    catalogue_item: str

    async def employee(self, email: str) -> Employee:
        """Return the person with this verified e-mail address. Raises Refusal for an unknown or inactive one."""
        try:
            rows = await self.rows("sys_user", {"email": email}, USER_FIELDS)
        except UnsafeValue as exc:
            raise Refusal(NOT_FOUND_WORDS, f"e-mail address: {exc}") from exc
        people = [employee_of(row) for row in rows]
        if any(person.email.casefold() != email.casefold() for person in people):
            raise ForeignRecord("sys_user: a record with another e-mail address")
        active = [person for person in people if person.is_active]
        if len(active) > 1:
            raise Refusal(
                "ServiceNow has more than one active person with your e-mail address. Please tell the service desk.",
                "sys_user: the e-mail address is not unique",
            )
        if not people:
            raise Refusal(NOT_FOUND_WORDS, "sys_user: no such e-mail address")
        if not active:
            raise Refusal(
                "Your account in ServiceNow is not active. Please tell the service desk.", "sys_user: inactive"
            )
        return active[0]

    async def laptops(self, person: Employee) -> list[Laptop]:
        """Return the laptops assigned to the person, by serial number; retired and lost ones are left out."""
        rows = await self.rows("cmdb_ci_computer", {"assigned_to": person.sys_id}, LAPTOP_FIELDS)
        if any(value(row, "assigned_to") != person.sys_id for row in rows):
            raise ForeignRecord("cmdb_ci_computer: a computer of another person")
        return sorted((laptop_of(row) for row in rows if not is_gone(row)), key=lambda laptop: laptop.serial_number)

    async def refresh_items(self, person: Employee) -> list[RequestItem]:
        """Return the person's laptop-refresh requests, open and closed, oldest first."""
        equal = {"request.requested_for": person.sys_id, "cat_item": self.catalogue_item}
        items = await self._request_items(person, equal)
        if any(item.catalogue_item != self.catalogue_item for item in items):
            raise ForeignRecord("sc_req_item: an item of another catalogue entry")
        return sorted(items, key=lambda item: (item.request_number, item.number))

    async def open_items(self, person: Employee) -> list[RequestItem]:
        """Return all open requests of the person, newest first."""
        items = await self._request_items(person, {"request.requested_for": person.sys_id, "active": "true"})
        return [item for item in items if item.is_open]

    async def order(self, variables: Mapping[str, str], person: Employee) -> Order:
        """Order the catalogue item once. Raises ServiceNowFault; its `effect` says whether a ticket may exist."""
        body = {"sysparm_quantity": "1", "sysparm_requested_for": person.sys_id, "variables": dict(variables)}
        answer = await self.rest.write("POST", f"{ITEMS}{self.catalogue_item}/order_now", body)
        return _order_of(answer.result)

    async def cancel(self, item: RequestItem, reason: str) -> None:
        """Close a request that should not be there. A missing right is logged: then a person has to close it."""
        try:
            closed = {"state": CLOSED_INCOMPLETE, "work_notes": reason}
            await self.rest.write("PATCH", f"{TABLE}sc_req_item/{item.sys_id}", closed)
            request = {"request_state": "closed_cancelled", **closed}
            await self.rest.write("PATCH", f"{TABLE}sc_request/{item.request_id}", request)
        except ServiceNowFault as fault:
            log.warning("duplicate_ticket_left_open", ticket_number=item.request_number, cause=fault.cause)

    async def rows(
        self, table: str, equal: Mapping[str, str], fields: Sequence[str], newest_first_by: str = "sys_created_on"
    ) -> list[Row]:
        """Return the records of a table whose fields equal these values, page by page. Raises UnsafeValue."""
        query = encoded_query(equal, newest_first_by=newest_first_by)
        rows: list[Row] = []
        for offset in range(0, MAX_ROWS, PAGE_SIZE):
            page, total = await self._page(table, query, fields, offset)
            rows += page
            # A page may be short because a right hides some of its records; the total counts those as well.
            is_last = len(page) < PAGE_SIZE if total is None else offset + PAGE_SIZE >= total
            if is_last:
                return rows
        raise Unusable(f"{table}: more than {MAX_ROWS} records of one person")

    async def _page(self, table: str, query: str, fields: Sequence[str], offset: int) -> tuple[list[Row], int | None]:
        params = {
            "sysparm_query": query,
            "sysparm_fields": ",".join(fields),
            "sysparm_display_value": "all",
            "sysparm_exclude_reference_link": "true",
            "sysparm_limit": str(PAGE_SIZE),
            "sysparm_offset": str(offset),
        }
        answer = await self.rest.get(TABLE + table, params)
        if not isinstance(answer.result, list) or not all(isinstance(row, dict) for row in answer.result):
            raise Unusable(f"{table}: the result is no list of records")
        return list(answer.result), answer.total

    async def _request_items(self, person: Employee, equal: Mapping[str, str]) -> list[RequestItem]:
        items = [request_item_of(row) for row in await self.rows("sc_req_item", equal, ITEM_FIELDS, "opened_at")]
        if any(item.requested_for != person.sys_id for item in items):
            raise ForeignRecord("sc_req_item: a request of another person")
        return items


def _order_of(result: Any) -> Order:
    """Read `order_now`'s answer: `number` or `request_number`, and `sys_id` or `request_id`, by version. Raises Unusable."""
    if isinstance(result, dict):
        number = result.get("request_number") or result.get("number")
        request_id = result.get("request_id") or result.get("sys_id")
        if isinstance(number, str) and isinstance(request_id, str) and SYS_ID.fullmatch(request_id):
            return Order(number, request_id)
    raise Unusable("order_now: the answer names no request", effect=Effect.UNKNOWN)
