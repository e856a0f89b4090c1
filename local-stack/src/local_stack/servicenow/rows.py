"""The records of the stand-in's four tables, and how the Table API shows them.

Source: ServiceNow, Table API (`sysparm_display_value`, `sysparm_exclude_reference_link`, `sysparm_fields`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from local_stack.servicenow.catalogue import Catalogue
from local_stack.servicenow.people import Laptop, Person, new_sys_id
from local_stack.servicenow.tickets import Ticket

STATES = {"1": "Open", "2": "Work in Progress", "3": "Closed Complete", "4": "Closed Incomplete", "7": "Closed Skipped"}
REQUEST_STATES = {"requested": "Requested", "closed_cancelled": "Request Cancelled"}
INSTALLED = {"1": "Installed", "6": "In stock", "7": "Retired", "8": "Stolen"}


@dataclass(frozen=True)
class Cell:
    """`table` is set for a reference: the value is then a sys_id of that table."""

    value: str
    shown: str
    table: str = ""


type Row = dict[str, Cell]


def text(value: str) -> Cell:
    return Cell(value, value)


def day(value: date | None) -> Cell:
    return text("" if value is None else value.isoformat())


def truth(value: bool) -> Cell:
    return text("true" if value else "false")


def choice(value: str, labels: Mapping[str, str]) -> Cell:
    return Cell(value, labels.get(value, value))


def reference(table: str, sys_id: str, shown: str) -> Cell:
    return Cell(sys_id, shown, table)


def place(name: str) -> Cell:
    return reference("cmn_location", new_sys_id("cmn_location", name), name) if name else text("")


def user_row(person: Person, people: Iterable[Person]) -> Row:
    manager = next((each for each in people if each.user_name == person.manager), None)
    return {
        "sys_id": text(person.sys_id),
        "sys_created_on": text("2020-01-01 08:00:00"),
        "name": text(person.name),
        "user_name": text(person.user_name),
        "email": text(person.email),
        "employee_number": text(person.employee_id),
        "title": text(person.title),
        "active": truth(person.active),
        "location": place(person.location),
        "location.country": text(person.country),
        "manager": text("") if manager is None else reference("sys_user", manager.sys_id, manager.name),
    }


def laptop_row(laptop: Laptop, person: Person, today: date) -> Row:
    return {
        "sys_id": text(laptop.sys_id),
        "sys_created_on": text("2020-01-01 08:00:00"),
        "name": text(f"{person.user_name}-{laptop.asset_tag or laptop.serial_number}"),
        "model_id": reference("cmdb_model", new_sys_id("cmdb_model", laptop.model), laptop.model),
        "manufacturer": text(laptop.manufacturer),
        "serial_number": text(laptop.serial_number),
        "asset_tag": text(laptop.asset_tag),
        "purchase_date": day(laptop.bought_on(today)),
        "warranty_expiration": day(laptop.warranty_expiration),
        "install_status": choice(laptop.install_status, INSTALLED),
        "operational_status": Cell("2", "Non-Operational") if laptop.is_faulty else Cell("1", "Operational"),
        "assigned_to": reference("sys_user", person.sys_id, person.name),
    }


def request_row(ticket: Ticket, names: Mapping[str, str]) -> Row:
    opened = text(f"{ticket.opened_at:%Y-%m-%d %H:%M:%S}")
    return {
        "sys_id": text(ticket.sys_id),
        "sys_created_on": opened,
        "number": text(ticket.number),
        "active": truth(ticket.is_open),
        "state": choice(ticket.state, STATES),
        "request_state": choice(ticket.request_state, REQUEST_STATES),
        "opened_at": opened,
        "short_description": text(ticket.short_description),
        "requested_for": _person(ticket.requested_for, names),
    }


def item_row(ticket: Ticket, names: Mapping[str, str], catalogue: Catalogue) -> Row:
    opened = text(f"{ticket.opened_at:%Y-%m-%d %H:%M:%S}")
    waiting = Cell("waiting_for_approval", "Waiting for Approval")
    return {
        "sys_id": text(ticket.item_sys_id),
        "sys_created_on": opened,
        "number": text(ticket.item_number),
        "active": truth(ticket.is_open),
        "state": choice(ticket.state, STATES),
        "stage": waiting if ticket.is_open else Cell("completed", "Completed"),
        "opened_at": opened,
        "short_description": text(ticket.short_description),
        "cat_item": reference("sc_cat_item", ticket.catalogue_item, ticket.short_description),
        "assignment_group": reference("sys_user_group", new_sys_id("group", catalogue.team), catalogue.team),
        "request": reference("sc_request", ticket.sys_id, ticket.number),
        "request.number": text(ticket.number),
        "request.requested_for": _person(ticket.requested_for, names),
        "requested_for": _person(ticket.requested_for, names),
        **{f"variables.{name}": text(value) for name, value in ticket.variables.items()},
    }


def _person(sys_id: str, names: Mapping[str, str]) -> Cell:
    return reference("sys_user", sys_id, names.get(sys_id, ""))


def shown(row: Row, params: Mapping[str, str], base_url: str, hidden: Iterable[str] = ()) -> dict[str, object]:
    """Return the record as the caller asked for it; fields that do not exist or may not be read are left out."""
    asked = [name.strip() for name in params.get("sysparm_fields", "").split(",") if name.strip()]
    names = asked or [name for name in row if "." not in name]
    with_link = params.get("sysparm_exclude_reference_link", "false") != "true"
    style = params.get("sysparm_display_value", "false")
    return {
        name: _cell(row[name], style, base_url if with_link else "")
        for name in names
        if name in row and name not in hidden
    }


def _cell(cell: Cell, style: str, link_base: str) -> object:
    link = {"link": f"{link_base}/api/now/table/{cell.table}/{cell.value}"} if cell.table and link_base else {}
    match style:
        case "all":
            return {"display_value": cell.shown, "value": cell.value, **link}
        case "true":
            return {"display_value": cell.shown, **link} if link else cell.shown
        case _:
            return {"value": cell.value, **link} if link else cell.value
