"""What the tools answer: structured content for the agent, named for people and models to read."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import BaseModel, Field


class EmployeeCard(BaseModel):
    name: str
    email: str
    location: str
    region: str = Field(description="NA, EMEA, APAC or LATAM; empty when the office is not known")


class LaptopCard(BaseModel):
    name: str
    model: str
    serial_number: str
    asset_tag: str
    device_class: str
    purchase_date: date | None
    age_months: int | None = Field(description="age in whole months")
    age_text: str = Field(description='the age in words, as "3 years and 2 months"')
    warranty_expiry: date | None
    warranty_status: str = Field(description="active, expired or unknown")


class MyLaptops(BaseModel):
    employee: EmployeeCard
    laptops: list[LaptopCard]


class EligibilityCard(BaseModel):
    serial_number: str
    model: str
    eligible: bool
    age_months: int = Field(description="age in whole months")
    age_text: str
    cycle_months: int = Field(description="the age in months from which a laptop of this class may be replaced")
    eligible_from: date
    verdict: str = Field(description="the verdict in one sentence")
    policy_section: str = Field(description="the section of the policy to cite")
    approval_note: str = Field(description="who has to approve")


class LaptopOption(BaseModel):
    """One offer: its number in the list and the fifteen fields."""

    number: int
    code: str = Field(description="the catalogue code that open_laptop_refresh_ticket takes")
    manufacturer: str
    model: str
    target_user: str
    cost: str = Field(description="price in the currency of the region")
    os: str
    display_size: str
    resolution: str
    graphics: str
    minimum_storage: str
    weight: str
    ports: str
    minimum_processor: str
    minimum_memory: str
    dimensions: str


class LaptopOptions(BaseModel):
    region: str
    currency: str
    options: list[LaptopOption]


class TicketStatus(StrEnum):
    OPENED = "opened"
    ALREADY_OPEN = "already_open"


class RefreshTicket(BaseModel):
    status: TicketStatus = Field(description="opened: by this confirmation; already_open: there was one before")
    ticket_number: str
    sys_id: str
    laptop_code: str
    model: str = Field(description="the new laptop")
    serial_number: str = Field(description="the laptop that is replaced")
    team: str
    state: str
    opened_at: datetime
    updates: str = Field(description="how the person hears of changes")


class OpenTicket(BaseModel):
    ticket_number: str
    short_description: str
    state: str
    stage: str
    opened_at: datetime | None
    laptop_code: str | None = None


class OpenTickets(BaseModel):
    tickets: list[OpenTicket]
