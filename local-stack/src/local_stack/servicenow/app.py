"""The ServiceNow stand-in: the REST paths and shapes that the MCP server uses, over files in a state folder.

Source: ServiceNow, Table API and Service Catalog API."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response

from local_stack.faults import Faults
from local_stack.program import control, readiness
from local_stack.servicenow.access import Doorman
from local_stack.servicenow.call_log import CallLog, note
from local_stack.servicenow.catalogue import Catalogue, shipped_catalogue
from local_stack.servicenow.faults import Fault, FaultLayer, error
from local_stack.servicenow.people import Directory, new_sys_id
from local_stack.servicenow.query import parse
from local_stack.servicenow.rows import Row, item_row, laptop_row, request_row, shown, user_row
from local_stack.servicenow.settings import StandinSettings
from local_stack.servicenow.tickets import Ticket, TicketBook, now_utc

DEFAULT_LIMIT = 10_000
INTEGRATION_USER = new_sys_id("sys_user", "the integration user")


@dataclass
class Rights:
    """What the integration user may not do; tests take rights away to see them named.

    `ignores_queries`: every look-up answers with everybody's records, as a real instance does for a field it lacks."""

    hidden_tables: frozenset[str] = frozenset()
    hidden_fields: frozenset[str] = frozenset()
    may_order: bool = True
    ignores_queries: bool = False


@dataclass
class Standin:
    """Everything the routes need. `now` is a clock in UTC."""

    folder: Path
    settings: StandinSettings
    now: Callable[[], datetime] = now_utc
    catalogue: Catalogue = field(default_factory=shipped_catalogue)
    rights: Rights = field(default_factory=Rights)
    faults: Faults[Fault] = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.directory = Directory(self.folder, lambda: self.now().astimezone(UTC).date())
        self.doorman = Doorman(self.settings)
        self.tickets = TicketBook(self.folder)
        if self.tickets.is_new:
            self.tickets.seed(self.directory.people(), self._item_facts(), self.now())

    def rows(self, table: str) -> list[Row] | None:
        """Return the records of a table, or None when there is no such table."""
        people = self.directory.people()
        names = {person.sys_id: person.name for person in people}
        today = self.directory.today()
        match table:
            case "sys_user":
                return [user_row(person, people) for person in people]
            case "cmdb_ci_computer":
                return [laptop_row(laptop, person, today) for person in people for laptop in person.laptops]
            case "sc_request":
                return [request_row(ticket, names) for ticket in self.tickets.tickets]
            case "sc_req_item":
                return [item_row(ticket, names, self.catalogue) for ticket in self.tickets.tickets]
        return None

    def ticket(self, table: str, sys_id: str) -> Ticket | None:
        field_name = {"sc_request": "sys_id", "sc_req_item": "item_sys_id"}.get(table, "")
        return next((each for each in self.tickets.tickets if getattr(each, field_name, None) == sys_id), None)

    def order(self, body: dict[str, Any]) -> Ticket:
        known = {person.sys_id for person in self.directory.people()}
        requested_for = str(body.get("sysparm_requested_for", ""))
        names = {variable["name"] for variable in self.catalogue.item.variables}
        variables = {name: str(value) for name, value in (body.get("variables") or {}).items() if name in names}
        person = requested_for if requested_for in known else INTEGRATION_USER
        return self.tickets.open(self._item_facts(), person, variables, self.now())

    def _item_facts(self) -> dict[str, str]:
        return {"sys_id": self.catalogue.item.sys_id, "name": self.catalogue.item.name}


def create_app(standin: Standin) -> FastAPI:
    app = FastAPI(title="ServiceNow stand-in", openapi_url=None)
    app.include_router(_table_routes(standin))
    app.include_router(_catalogue_routes(standin))
    app.include_router(_token_route(standin))
    app.include_router(readiness())
    app.include_router(_control_routes(standin))
    app.add_middleware(FaultLayer, faults=standin.faults)
    app.add_middleware(CallLog, folder=standin.folder)
    return app


def _table_routes(standin: Standin) -> APIRouter:
    router = APIRouter(prefix="/api/now/table")

    @router.get("/{table}")
    async def read(table: str, request: Request) -> Response:
        if not standin.doorman.lets_in(request.headers):
            return unauthenticated()
        rows = standin.rows(table)
        if rows is None:
            return error(400, f"Invalid table {table}")
        return page(rows, request, standin.rights, table)

    @router.patch("/{table}/{sys_id}")
    async def change(table: str, sys_id: str, request: Request) -> Response:
        if not standin.doorman.lets_in(request.headers):
            return unauthenticated()
        ticket = standin.ticket(table, sys_id)
        if ticket is None:
            return error(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
        changes = await request.json()
        note(request, changes=changes)
        standin.tickets.change(ticket, changes)
        return JSONResponse({"result": {"sys_id": sys_id}})

    return router


def _catalogue_routes(standin: Standin) -> APIRouter:
    router = APIRouter(prefix="/api/sn_sc/servicecatalog/items")

    @router.get("/{sys_id}")
    async def item(sys_id: str, request: Request) -> Response:
        if not standin.doorman.lets_in(request.headers):
            return unauthenticated()
        if sys_id != standin.catalogue.item.sys_id:
            return error(400, "Invalid Request", "The item does not exist or may not be seen")
        return JSONResponse({"result": standin.catalogue.item.model_dump()})

    @router.post("/{sys_id}/order_now")
    async def order_now(sys_id: str, request: Request) -> Response:
        if not standin.doorman.lets_in(request.headers):
            return unauthenticated()
        if sys_id != standin.catalogue.item.sys_id or not standin.rights.may_order:
            return error(400, "Security constraints prevent ordering of Item")
        body = await request.json()
        note(request, variables=body.get("variables"))
        given = body.get("variables") or {}
        if any(not given.get(name) for name in standin.catalogue.item.mandatory()):
            return error(400, "Mandatory Variables are required")
        ticket = standin.order(body)
        answer = {"sys_id": ticket.sys_id, "number": ticket.number, "table": "sc_request", "parent_id": None}
        return JSONResponse({"result": {**answer, "request_number": ticket.number, "request_id": ticket.sys_id}})

    return router


def _token_route(standin: Standin) -> APIRouter:
    router = APIRouter()

    @router.post("/oauth_token.do")
    async def token(request: Request) -> Response:
        form = _form((await request.body()).decode(errors="replace"))
        issued = standin.doorman.issue(form)
        if issued is None:
            return JSONResponse({"error": "access_denied", "error_description": "wrong client"}, 401)
        return JSONResponse(issued)

    return router


def _control_routes(standin: Standin) -> APIRouter:
    router = control(standin.settings.control_token)

    @router.post("/faults", status_code=204)
    async def script(fault: Fault) -> None:
        standin.faults.add(fault)

    @router.delete("/faults", status_code=204)
    async def clear() -> None:
        standin.faults.clear()

    return router


def page(rows: list[Row], request: Request, rights: Rights, table: str) -> Response:
    """Return the records that the query, the limit and the offset select, in the Table API's shape."""
    params = request.query_params
    query = parse("" if rights.ignores_queries else params.get("sysparm_query", ""))
    found = [row for row in rows if query.holds(row)]
    for name, is_descending in reversed(query.order_by):
        found.sort(key=lambda row: query.sort_key(row, name), reverse=is_descending)
    offset = _number(params.get("sysparm_offset"), 0)
    limit = _number(params.get("sysparm_limit"), DEFAULT_LIMIT)
    selected = [] if table in rights.hidden_tables else found[offset : offset + limit]
    base_url = str(request.base_url).rstrip("/")
    result = [shown(row, params, base_url, rights.hidden_fields) for row in selected]
    return JSONResponse({"result": result}, headers={"x-total-count": str(len(found))})


def unauthenticated() -> Response:
    return error(401, "User Not Authenticated", "Required to provide Auth information")


def _number(given: str | None, default: int) -> int:
    return int(given) if given and given.isdecimal() else default


def _form(body: str) -> dict[str, str]:
    return dict(parse_qsl(body, max_num_fields=20))
