"""Reads encoded queries as ServiceNow does, traps included: a condition on an unknown field is ignored.

Written without looking at how the MCP server builds them, so that each checks the other.
Source: ServiceNow, encoded query strings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

CONDITION = re.compile(r"(?P<field>[a-z][a-z0-9_.]*)(?P<operator>!=|=|IN|LIKE)(?P<value>.*)", re.DOTALL)
ORDER = re.compile(r"ORDERBY(?P<descending>DESC)?(?P<field>[a-z][a-z0-9_.]*)")
SEPARATOR = re.compile(r"\^(\^?)")


class Cell(Protocol):
    @property
    def value(self) -> str: ...


type Values = Mapping[str, Cell]


@dataclass(frozen=True)
class Condition:
    field: str
    operator: str
    value: str

    def holds(self, row: Values) -> bool:
        if self.field not in row or self.value.startswith("javascript:"):
            return True
        present = row[self.field].value.casefold()
        wanted = self.value.casefold()
        match self.operator:
            case "=":
                return present == wanted
            case "!=":
                return present != wanted
            case "IN":
                return present in wanted.split(",")
            case _:
                return wanted in present


@dataclass
class Query:
    """`groups` are joined by OR (^NQ); in a group all lists must hold; in a list (^OR) one condition must."""

    groups: list[list[list[Condition]]] = field(default_factory=lambda: [[]])
    order_by: list[tuple[str, bool]] = field(default_factory=list)

    def holds(self, row: Values) -> bool:
        return any(all(any(c.holds(row) for c in either) for either in group) for group in self.groups)

    def sort_key(self, row: Values, name: str) -> str:
        cell = row.get(name)
        return "" if cell is None else cell.value.casefold()


def parse(text: str) -> Query:
    """Return the query; parts that cannot be read are ignored, as ServiceNow does."""
    query = Query()
    for part in split(text):
        if order := ORDER.fullmatch(part):
            query.order_by.append((order["field"], order["descending"] is not None))
            continue
        is_new, part = part.startswith("NQ"), part.removeprefix("NQ")
        is_or, part = part.startswith("OR"), part.removeprefix("OR")
        condition = CONDITION.fullmatch(part)
        if condition is None:
            continue
        if is_new:
            query.groups.append([])
        group = query.groups[-1]
        if is_or and group:
            group[-1].append(Condition(**condition.groupdict()))
        else:
            group.append([Condition(**condition.groupdict())])
    return query


def split(text: str) -> list[str]:
    """Cut at single carets; two carets are one caret of a value."""
    parts, start, current = [], 0, ""
    for caret in SEPARATOR.finditer(text):
        current += text[start : caret.start()]
        start = caret.end()
        if caret[1]:
            current += "^"
        else:
            parts.append(current)
            current = ""
    return [part for part in [*parts, current + text[start:]] if part]
