"""ServiceNow's records as this service knows them, read once from what the Table API sends.

Rows are asked for with `sysparm_display_value=all`: each field is `{"value": ..., "display_value": ...}`.
Source: ServiceNow, Table API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from servicenow_mcp.domain.laptops import Laptop
from servicenow_mcp.variables import CORRELATION_ID, LAPTOP_CHOICES, SERIAL_NUMBER

USER_FIELDS = ("sys_id", "name", "email", "active", "location", "location.country")
LAPTOP_FIELDS = (
    "sys_id",
    "name",
    "model_id",
    "serial_number",
    "asset_tag",
    "purchase_date",
    "warranty_expiration",
    "operational_status",
    "install_status",
    "assigned_to",
)
ITEM_FIELDS = (
    "sys_id",
    "number",
    "active",
    "state",
    "stage",
    "opened_at",
    "short_description",
    "cat_item",
    "assignment_group",
    "request",
    "request.number",
    "request.requested_for",
    f"variables.{LAPTOP_CHOICES}",
    f"variables.{SERIAL_NUMBER}",
    f"variables.{CORRELATION_ID}",
)
# cmdb_ci.operational_status: 2 non-operational, 3 repair in progress
FAULTY = frozenset({"2", "3"})
# alm/cmdb install_status: 7 retired, 8 stolen, 100 absent
GONE = frozenset({"7", "8", "100"})

type Row = Mapping[str, Any]


@dataclass(frozen=True)
class Employee:
    sys_id: str
    name: str
    email: str
    is_active: bool
    location: str
    country: str


@dataclass(frozen=True)
class RequestItem:
    """One line of a catalogue request (sc_req_item). `request_number` is the REQ number that people know."""

    sys_id: str
    number: str
    is_open: bool
    state: str
    stage: str
    opened_at: datetime | None
    short_description: str
    catalogue_item: str
    team: str
    request_id: str
    request_number: str
    requested_for: str
    laptop_code: str
    serial_number: str
    correlation_id: str


def employee_of(row: Row) -> Employee:
    return Employee(
        sys_id=value(row, "sys_id"),
        name=value(row, "name"),
        email=value(row, "email"),
        is_active=value(row, "active") == "true",
        location=shown(row, "location"),
        country=shown(row, "location.country"),
    )


def laptop_of(row: Row) -> Laptop:
    return Laptop(
        sys_id=value(row, "sys_id"),
        name=value(row, "name"),
        model=shown(row, "model_id") or value(row, "name"),
        serial_number=value(row, "serial_number"),
        asset_tag=value(row, "asset_tag"),
        purchase_date=day(value(row, "purchase_date")),
        warranty_expiration=day(value(row, "warranty_expiration")),
        is_faulty=value(row, "operational_status") in FAULTY,
    )


def is_gone(row: Row) -> bool:
    """True for a laptop that is retired, stolen or lost: nobody works with it."""
    return value(row, "install_status") in GONE


def request_item_of(row: Row) -> RequestItem:
    return RequestItem(
        sys_id=value(row, "sys_id"),
        number=value(row, "number"),
        is_open=value(row, "active") == "true",
        state=shown(row, "state"),
        stage=shown(row, "stage"),
        opened_at=instant(value(row, "opened_at")),
        short_description=value(row, "short_description"),
        catalogue_item=value(row, "cat_item"),
        team=shown(row, "assignment_group"),
        request_id=value(row, "request"),
        request_number=value(row, "request.number"),
        requested_for=value(row, "request.requested_for"),
        laptop_code=value(row, f"variables.{LAPTOP_CHOICES}"),
        serial_number=value(row, f"variables.{SERIAL_NUMBER}"),
        correlation_id=value(row, f"variables.{CORRELATION_ID}"),
    )


def value(row: Row, field: str) -> str:
    """Return what is stored; "" when the field is empty or may not be read."""
    return _part(row, field, "value")


def shown(row: Row, field: str) -> str:
    """Return what people see in the field: the name behind a reference, the label of a choice."""
    return _part(row, field, "display_value")


def _part(row: Row, field: str, part: str) -> str:
    cell = row.get(field)
    if isinstance(cell, Mapping):
        cell = cell.get(part)
    return cell.strip() if isinstance(cell, str) else ""


def day(text: str) -> date | None:
    """Return the date that ServiceNow stores as "2024-03-01" or "2024-03-01 00:00:00"; None for anything else."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def instant(text: str) -> datetime | None:
    """Return the instant that ServiceNow stores in UTC as "2024-03-01 09:30:00"; None for anything else."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None
