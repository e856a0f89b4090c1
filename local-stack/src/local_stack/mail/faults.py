"""What a mail server does on a bad day."""

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

    def hits(self, verb: str) -> bool:
        return verb == self.verb
