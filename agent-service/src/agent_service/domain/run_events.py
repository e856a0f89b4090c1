"""The events that a watcher of a run sees: `status`, `delta`, `reset`, `tool`, `confirm`, and at last `answer`.

The id of an event is `<attempt>-<n>`. `reset`: forget the text so far, it begins anew."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_PLACE = re.compile(r"^(\d{1,6})-(\d{1,6})$")


@dataclass(frozen=True)
class RunEvent:
    attempt: int
    n: int
    event: str
    data: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.attempt}-{self.n}"


def place_of(event_id: str) -> tuple[int, int]:
    """(attempt, n) of a Last-Event-ID; (0, 0), before everything, for anything else."""
    found = _PLACE.match(event_id)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def joined(events: Sequence[RunEvent]) -> list[RunEvent]:
    """Neighbouring deltas as one, with the id of the last; text that a reset takes back is left out."""
    shown: list[RunEvent] = []
    for event in events:
        last = shown[-1] if shown else None
        if event.event == "reset" and last is not None and last.event in ("delta", "reset"):
            shown[-1] = event
        elif event.event == "delta" and last is not None and last.event == "delta":
            text = str(last.data.get("text", "")) + str(event.data.get("text", ""))
            shown[-1] = RunEvent(event.attempt, event.n, "delta", {"text": text})
        else:
            shown.append(event)
    return shown
