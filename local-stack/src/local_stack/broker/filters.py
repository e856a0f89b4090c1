"""The filters of a Trigger: `exact` and the older `filter.attributes`. Every other dialect is refused by its name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_stack.problems import LaunchProblem

_NAME = re.compile(r"[a-z][a-z0-9]*")
DIALECTS = ("prefix", "suffix", "all", "any", "not", "cesql")


@dataclass(frozen=True)
class Filter:
    """Pairs of attribute and text, all of which must be equal. None as the text: the attribute is there and not empty."""

    pairs: tuple[tuple[str, str | None], ...] = ()

    def admits(self, attributes: Mapping[str, str]) -> bool:
        for name, expected in self.pairs:
            value = attributes.get(name)
            if not value if expected is None else value != expected:
                return False
        return True


def read_filter(spec: Mapping[str, Any], title: str) -> Filter:
    """`filters`, when it holds any, replaces `filter`. Raises LaunchProblem."""
    legacy = spec.get("filter") or {}
    for name in legacy:
        if name != "attributes":
            raise LaunchProblem(f"{title}: spec.filter: unknown field {name!r}")
    old = legacy.get("attributes") or {}
    _check(old, f"{title}: spec.filter.attributes")
    filters = spec.get("filters") or []
    pairs = [pair for index, each in enumerate(filters) for pair in _exact(each, f"{title}: spec.filters[{index}]")]
    return Filter(tuple(pairs if filters else [(name, value or None) for name, value in old.items()]))


def _exact(given: Mapping[str, Any], where: str) -> list[tuple[str, str | None]]:
    for name in given:
        if name in DIALECTS:
            raise LaunchProblem(f"{where}: the local broker does not serve the filter dialect {name!r}, only 'exact'")
        if name != "exact":
            raise LaunchProblem(f"{where}: unknown field {name!r}")
    exact = given.get("exact")
    if not exact:
        raise LaunchProblem(f"{where}.exact: needs at least one attribute")
    _check(exact, f"{where}.exact")
    if "" in exact.values():
        raise LaunchProblem(f"{where}.exact: an empty text can match nothing")
    return list(exact.items())


def _check(attributes: Mapping[str, Any], where: str) -> None:
    for name, value in attributes.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise LaunchProblem(f"{where}: {name!r} is no name of an attribute")
        if not isinstance(value, str):
            raise LaunchProblem(f"{where}.{name}: {value!r} is no text")
