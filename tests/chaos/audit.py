"""The audit after a fault run. It trusts nobody: what the client saw, what the sinks got and what the database says must agree.

Each check returns the violations in words; the counts go into the table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.chaos.audit_ends import (
    contradictions,
    dead_letters,
    ends,
    given_up,
    killers,
    lost,
    refusals,
    repeats,
    stuck,
    untold,
)
from tests.chaos.audit_messages import excused_messages, leaks, messages, order, secrets, tickets, undelivered
from tests.chaos.evidence import Evidence

MOST_SHOWN = 20


@dataclass
class Findings:
    """`by_check`: violations in words. `lost`, `duplicates`, `order`, `leaks` are the columns of the table."""

    accepted: int = 0
    by_check: dict[str, list[str]] = field(default_factory=dict)
    excused: int = 0
    given_up: int = 0

    @property
    def is_clean(self) -> bool:
        return not any(self.by_check.values())

    def count(self, *checks: str) -> int:
        return sum(len(self.by_check.get(check, [])) for check in checks)

    @property
    def row(self) -> dict[str, int]:
        return {
            "accepted": self.accepted,
            "lost": self.count("lost", "stuck", "undelivered", "untold"),
            "duplicates": self.count("repeats", "messages", "tickets"),
            "order": self.count("order"),
            "leaks": self.count("leaks", "secrets"),
            "other": self.count("ends", "contradictions", "given up", "refusals", "dead letters", "scenarios"),
        }

    def words(self) -> str:
        lines = []
        for check, found in self.by_check.items():
            if found:
                lines += [f"{check}: {len(found)}", *(f"  {each}" for each in found[:MOST_SHOWN])]
        return "\n".join(lines)


def audit(evidence: Evidence) -> Findings:
    findings = Findings(accepted=len({line["request_id"] for line in evidence.accepted}))
    for name, check in CHECKS.items():
        findings.by_check[name] = list(check(evidence))
    findings.given_up = len(killers(evidence))
    findings.excused = excused_messages(evidence)
    return findings


CHECKS: dict[str, Callable[[Evidence], Iterable[str]]] = {
    "lost": lost,
    "stuck": stuck,
    "ends": ends,
    "contradictions": contradictions,
    "given up": given_up,
    "repeats": repeats,
    "refusals": refusals,
    "undelivered": undelivered,
    "messages": messages,
    "tickets": tickets,
    "order": order,
    "untold": untold,
    "leaks": leaks,
    "secrets": secrets,
    "dead letters": dead_letters,
}
