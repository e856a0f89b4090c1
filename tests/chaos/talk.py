"""What the load client says and the fake model understands: a word to repeat, whose it is, and how the model is to behave."""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import uuid4

SAID = re.compile(r"nonce-([0-9a-f]{32}) of canary-([0-9a-f]{16}) please ([a-z_0-9]+)")
CANARY = re.compile(r"canary-([0-9a-f]{16})")
PREFIX = "Here is your word again:"


class Do(StrEnum):
    """`…_once` goes away when it is asked again; `…_always` ends the request as failed."""

    ANSWER = "answer"
    ANSWER_SLOWLY = "answer_slowly"
    HANG_ONCE = "hang_once"
    LIMIT_ONCE = "limit_once"
    GARBAGE_ONCE = "garbage_once"
    CUT_ONCE = "cut_once"
    HANG_ALWAYS = "hang_always"
    LIMIT_ALWAYS = "limit_always"
    GARBAGE_ALWAYS = "garbage_always"
    FAIL_ALWAYS = "fail_always"

    @property
    def ends_in_failure(self) -> bool:
        return self.value.endswith("_always")

    @property
    def kind(self) -> str:
        return self.value.partition("_")[0]


@dataclass(frozen=True)
class Said:
    nonce: str
    canary: str
    do: Do

    @property
    def words(self) -> str:
        return f"Please repeat nonce-{self.nonce} of canary-{self.canary} please {self.do.value}"

    @property
    def answer(self) -> str:
        return f"{PREFIX} nonce-{self.nonce} of canary-{self.canary}."


def new_said(canary: str, do: Do) -> Said:
    return Said(uuid4().hex, canary, do)


def last_said(text: str) -> Said | None:
    """The last sentence of this kind: a conversation's earlier ones stand before it."""
    found = SAID.findall(text)
    return Said(found[-1][0], found[-1][1], Do(found[-1][2])) if found else None
