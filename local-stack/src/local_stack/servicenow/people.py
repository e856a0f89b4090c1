"""The people and laptops of the stand-in, read from a file that tests and developers may write while it runs."""

import hashlib
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from local_stack.servicenow.catalogue import shipped_catalogue

FILE = "people.yaml"
MONTHS_PER_YEAR = 12


def new_sys_id(kind: str, key: str) -> str:
    """Return the 32 hexadecimal digits that stand for this thing, the same at every start."""
    return hashlib.sha256(f"{kind}:{key}".encode()).hexdigest()[:32]


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Age(Entry):
    """How old a laptop is today: `cycles` of its device class plus `months` and `days`."""

    cycles: int = 0
    months: int = 0
    days: int = 0


class OpenRefresh(Entry):
    laptop_code: str
    days_ago: int = 0


class Laptop(Entry):
    """Dated by `purchase_date` or `age`; neither means that ServiceNow holds no date."""

    model: str
    manufacturer: str = ""
    serial_number: str
    asset_tag: str = ""
    device_class: str = "standard"
    purchase_date: date | None = None
    age: Age | None = None
    warranty_expiration: date | None = None
    is_faulty: bool = False
    install_status: str = "1"
    open_refresh: OpenRefresh | None = None

    @property
    def sys_id(self) -> str:
        return new_sys_id("cmdb_ci_computer", self.serial_number or self.asset_tag or self.model)

    def bought_on(self, today: date) -> date | None:
        if self.purchase_date is not None or self.age is None:
            return self.purchase_date
        cycle = shipped_catalogue().cycle_months[self.device_class]
        return months_before(today - timedelta(days=self.age.days), self.age.cycles * cycle + self.age.months)


class Person(Entry):
    """`case`: what this person is in the list for."""

    user_name: str
    name: str
    email: str
    case: str = ""
    employee_id: str = ""
    employment: str = "staff"
    title: str = ""
    active: bool = True
    location: str = ""
    country: str = ""
    manager: str = ""
    laptops: tuple[Laptop, ...] = ()

    @property
    def sys_id(self) -> str:
        return new_sys_id("sys_user", self.user_name)


class PeopleFile(Entry):
    people: tuple[Person, ...]

    @model_validator(mode="after")
    def check(self) -> "PeopleFile":
        names = [person.user_name for person in self.people]
        if len(set(names)) != len(names):
            raise ValueError("a user_name stands twice in the file")
        return self


def months_before(day: date, months: int) -> date:
    index = day.year * MONTHS_PER_YEAR + day.month - 1 - months
    year, month = divmod(index, MONTHS_PER_YEAR)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _shipped_text() -> str:
    return (files("local_stack.servicenow") / "data" / FILE).read_text(encoding="utf-8")


def read_people(text: str) -> tuple[Person, ...]:
    """Return the people of a YAML or JSON text. Raises ValueError for one that does not fit."""
    return PeopleFile.model_validate(yaml.safe_load(text)).people


@cache
def shipped_people() -> tuple[Person, ...]:
    return read_people(_shipped_text())


@dataclass
class Directory:
    """The people file of a state folder, made at the first start, read again when it has changed."""

    folder: Path
    today: Callable[[], date]
    _read_at: tuple[int, int] = (0, 0)
    _people: tuple[Person, ...] = field(default=())

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self.path.write_text(_shipped_text(), encoding="utf-8")

    @property
    def path(self) -> Path:
        return self.folder / FILE

    def people(self) -> tuple[Person, ...]:
        stat = self.path.stat()
        if (stat.st_mtime_ns, stat.st_size) != self._read_at:
            self._people = read_people(self.path.read_text(encoding="utf-8"))
            self._read_at = (stat.st_mtime_ns, stat.st_size)
        return self._people
