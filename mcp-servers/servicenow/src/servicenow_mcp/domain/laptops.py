"""A person's laptop as ServiceNow records it, and what follows from its dates."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from servicenow_mcp.domain.ages import add_months


class WarrantyStatus(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Laptop:
    """`purchase_date` and `warranty_expiration` are None when ServiceNow holds none."""

    sys_id: str
    name: str
    model: str
    serial_number: str
    asset_tag: str
    purchase_date: date | None
    warranty_expiration: date | None
    is_faulty: bool


def warranty_expiry(laptop: Laptop, warranty_months: int) -> date | None:
    """Return the last day of the warranty: the recorded one, else the purchase date plus the policy's months."""
    if laptop.warranty_expiration is not None or laptop.purchase_date is None:
        return laptop.warranty_expiration
    return add_months(laptop.purchase_date, warranty_months)


def warranty_status(expiry: date | None, today: date) -> WarrantyStatus:
    if expiry is None:
        return WarrantyStatus.UNKNOWN
    return WarrantyStatus.ACTIVE if today <= expiry else WarrantyStatus.EXPIRED
