"""A run that is at work in this process: what its parts hand to each other."""

from dataclasses import dataclass, field
from uuid import UUID

from shared_models.schemas import NormalizedRequest
from shared_models.work_item import RetryLater, WorkItem

from agent_service.domain.turn import Step, Turn
from agent_service.live import Publisher
from agent_service.store.begin import Begun


class RunOver(Exception):
    """The run has ended, another worker has taken it over, or its start was lost: nothing more may be done for it here."""


def start_again() -> RetryLater:
    """What follows from `RunOver`: only a new look tells an end from a start that a crash of the database took back."""
    return RetryLater("the run has ended or its start was lost", after_s=0.0, counted=False)


@dataclass
class Run:
    """`attempt` fences its statements. `unsaved` goes with the next statement. `note`: for the model, written in code.

    `barred`: tools that may not be called in this run (any more)."""

    request: NormalizedRequest
    item: WorkItem
    attempt: int
    begun: Begun
    turn: Turn
    publisher: Publisher
    unsaved: list[Step] = field(default_factory=list)
    note: str = ""
    barred: set[str] = field(default_factory=set)

    @property
    def id(self) -> UUID:
        return self.request.request_id
