"""Faults that tests script for a stand-in: what the other side does on a bad day. Off unless one is added."""

from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import Message, Receive


class Strikes(Protocol):
    """`times`: how often it strikes; -1: always."""

    times: int

    def hits(self, call: str) -> bool: ...


@dataclass
class Faults[F: Strikes]:
    """The scripted faults, first come first taken. `met`: the calls at which one has struck."""

    scripted: list[F] = field(default_factory=list)
    met: list[str] = field(default_factory=list)

    def add(self, fault: F) -> None:
        self.scripted.append(fault)

    def clear(self) -> None:
        self.scripted.clear()

    def take(self, call: str) -> F | None:
        """The fault that strikes this call."""
        fault = next((each for each in self.scripted if each.times != 0 and each.hits(call)), None)
        if fault is not None:
            fault.times -= fault.times > 0
            self.met.append(call)
        return fault


async def swallow(message: Message) -> None:
    """In place of `send`: the work is done and its answer is lost."""


async def until_the_caller_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
