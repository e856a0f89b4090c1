"""Faults that tests script: what a mail server does on a bad day. Off unless one is added."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

type Verb = Literal["CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "DOT"]


class Fault(BaseModel):
    """What happens at the next `times` of a verb (-1: always). DOT is the end of the mail.

    `drops`: the connection is cut instead of an answer; at DOT the mail was taken before."""

    model_config = ConfigDict(extra="forbid")

    verb: Verb
    code: int = Field(default=0, ge=0, le=599)
    text: str = "scripted"
    times: int = 1
    drops: bool = False


@dataclass
class Faults:
    """The scripted faults, first come first taken. `met`: the verbs at which one has struck."""

    scripted: list[Fault] = field(default_factory=list)
    met: list[str] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self.scripted.append(fault)

    def clear(self) -> None:
        self.scripted.clear()

    def take(self, verb: str) -> Fault | None:
        fault = next((each for each in self.scripted if each.verb == verb and each.times != 0), None)
        if fault is not None:
            fault.times -= 1 if fault.times > 0 else 0
            self.met.append(verb)
        return fault
