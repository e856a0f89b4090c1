"""The result of a bench as JSON and as a table."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.load.numbers import Measure, Verdict, show

COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}


@dataclass
class Report:
    """`facts` are numbers without a target, by name; `void` says why the run does not count, if it does not."""

    measures: list[Measure] = field(default_factory=list)
    facts: dict[str, float | str] = field(default_factory=dict)
    void: str = ""

    @property
    def is_passed(self) -> bool:
        return not self.void and all(measure.verdict is Verdict.PASS for measure in self.measures)

    def as_json(self) -> dict[str, Any]:
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": asdict(Machine.here()),
            "passed": self.is_passed,
            "void": self.void,
            "measures": [measure.as_json() for measure in self.measures],
            "facts": self.facts,
        }


@dataclass(frozen=True)
class Machine:
    system: str
    processor: str
    cores: int
    python: str

    @classmethod
    def here(cls) -> "Machine":
        return cls(platform.platform(), platform.machine(), os.cpu_count() or 0, platform.python_version())


def write_json(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.as_json(), indent=2) + "\n")


def print_report(report: Report, console: Console) -> None:
    table = Table(title="Numbers to reach")
    for heading in ("measure", "value", "target", "verdict", "note"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for measure in report.measures:
        colour = COLOURS[measure.verdict]
        value = f"{show(measure.value)} {measure.unit}".strip()
        table.add_row(measure.name, value, measure.target, f"[{colour}]{measure.verdict}[/]", measure.note)
    console.print(table)
    facts = Table(title="More numbers", show_header=False)
    for name, fact in report.facts.items():
        facts.add_row(name, fact if isinstance(fact, str) else show(fact))
    console.print(facts)
    if report.void:
        console.print(f"[red]void:[/] {report.void}")
