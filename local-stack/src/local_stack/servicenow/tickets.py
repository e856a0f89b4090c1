"""The tickets of the stand-in, kept in one JSON file that is replaced whole and synced at each change."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel

from local_stack.servicenow.people import Person

FILE = "tickets.json"
FIRST_NUMBER = 10001
OPEN, CLOSED_INCOMPLETE = "1", "4"
CLOSED_STATES = frozenset({"3", CLOSED_INCOMPLETE, "7"})


class Ticket(BaseModel):
    """A request (REQ) with its one item (RITM)."""

    number: str
    sys_id: str
    item_number: str
    item_sys_id: str
    requested_for: str
    catalogue_item: str
    short_description: str
    variables: dict[str, str]
    opened_at: datetime
    state: str = OPEN
    request_state: str = "requested"
    work_notes: list[str] = []

    @property
    def is_open(self) -> bool:
        return self.state not in CLOSED_STATES


class TicketFile(BaseModel):
    next_number: int = FIRST_NUMBER
    tickets: list[Ticket] = []


@dataclass
class TicketBook:
    """All tickets of a state folder. Used from one event loop; each change is on disk before it is answered."""

    folder: Path
    _file: TicketFile = field(default_factory=TicketFile)

    def __post_init__(self) -> None:
        self.is_new = not self.path.exists()
        if not self.is_new:
            self._file = TicketFile.model_validate_json(self.path.read_text(encoding="utf-8"))

    @property
    def path(self) -> Path:
        return self.folder / FILE

    @property
    def tickets(self) -> list[Ticket]:
        return self._file.tickets

    def open(self, item: dict[str, str], requested_for: str, variables: dict[str, str], opened_at: datetime) -> Ticket:
        """Add a ticket for a catalogue item (`sys_id`, `name`)."""
        number = self._file.next_number
        ticket = Ticket(
            number=f"REQ{number:07d}",
            sys_id=uuid4().hex,
            item_number=f"RITM{number:07d}",
            item_sys_id=uuid4().hex,
            requested_for=requested_for,
            catalogue_item=item["sys_id"],
            short_description=item["name"],
            variables=variables,
            opened_at=opened_at,
        )
        self._file.next_number += 1
        self._file.tickets.append(ticket)
        self.save()
        return ticket

    def change(self, ticket: Ticket, changes: dict[str, Any]) -> None:
        if "state" in changes:
            ticket.state = str(changes["state"])
        if "request_state" in changes:
            ticket.request_state = str(changes["request_state"])
        if changes.get("work_notes"):
            ticket.work_notes.append(str(changes["work_notes"]))
        self.save()

    def seed(self, people: tuple[Person, ...], item: dict[str, str], now: datetime) -> None:
        """Open the tickets that the people file tells of; only in a folder without tickets."""
        for person in people:
            for laptop in person.laptops:
                if laptop.open_refresh is not None:
                    variables = {
                        "laptop_choices": laptop.open_refresh.laptop_code,
                        "who_is_this_request_for": person.sys_id,
                        "laptop_serial_number": laptop.serial_number,
                        "correlation_id": f"seeded-{person.user_name}",
                    }
                    opened_at = now - timedelta(days=laptop.open_refresh.days_ago)
                    self.open(item, person.sys_id, variables, opened_at)
        self.save()

    def save(self) -> None:
        """Replace the file: either the old or the new one is there after a crash."""
        fresh = self.path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(self._file.model_dump_json(indent=2))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def now_utc() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
