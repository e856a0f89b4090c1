"""The person's yes, read in code: the model never approves anything, and cannot change what was asked."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from shared_models.schemas import Confirmation, ConfirmDecision, FollowupAction

LIFETIME = timedelta(minutes=15)
SAME_YES_WITHIN = timedelta(hours=24)

# Compared with each part of a message between commas, without words of courtesy.
YES = frozenset(
    {"yes", "y", "yeah", "yep", "yup", "ok", "okay", "sure", "of course", "go ahead", "do it", "confirm", "i confirm"}
    | {"confirmed", "approve", "approved", "agreed", "👍", "✅", ":+1:", ":thumbsup:", ":white_check_mark:"}
    | {"ja", "j", "jo", "jawohl", "gerne", "ja gerne", "klar", "einverstanden", "bestätigen", "ich bestätige"}
    | {"bestätigt", "passt", "mach das", "in ordnung"}
)
NO = frozenset(
    {"no", "n", "nope", "nah", "not now", "don't", "dont", "do not", "never mind", "nevermind", "reject", "rejected"}
    | {"decline", "i decline", "deny", "👎", "❌", ":-1:", ":thumbsdown:", ":x:"}
    | {"nein", "nö", "nee", "nicht", "lieber nicht", "doch nicht", "noch nicht", "auf keinen fall", "ablehnen"}
    | {"abgelehnt", "ich lehne ab"}
)
SHADES = re.compile("[\ufe0f\U0001f3fb-\U0001f3ff]")
"""Variants of an emoji: coloured, in a skin tone."""

COURTESY = re.compile(r"^(please|bitte)\b ?| ?\b(please|thanks|thank you|bitte|danke)$")


class State(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    REPLACED = "replaced"


class Verdict(StrEnum):
    """What a person's message means for the confirmation that it may be about."""

    NONE = "none"
    APPROVE = "approve"
    REJECT = "reject"
    REPEATED = "repeated"
    EXPIRED = "expired"
    REPLACED = "replaced"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Asked:
    """A stored confirmation. `outcome`: what the tool answered after the yes; None while that is not known.

    `is_last_said`: the last answer that the person saw is this question, or what came of it."""

    id: UUID
    request_id: UUID
    agent: str
    server: str
    tool: str
    arguments: dict[str, Any]
    arguments_hash: str
    effect: str
    state: State
    expires_at: datetime
    outcome: str | None = None
    answered_by: UUID | None = None
    is_last_said: bool = False

    def view(self) -> Confirmation:
        return Confirmation(
            id=self.id, tool=self.tool, effect=self.effect, arguments=self.arguments, expires_at=self.expires_at
        )


def yes_or_no(content: str) -> bool | None:
    """True, False, or None for everything that is not plainly a yes or a no. The whole message counts, not a word in it."""
    plain = SHADES.sub("", content.strip().lower().replace("’", "'"))
    words = re.sub(r"\s+", " ", plain).strip(" .!…\"'")
    parts = {COURTESY.sub("", part.strip()) for part in words.split(",")} - {""}
    if parts and parts <= YES:
        return True
    return False if parts and parts <= NO else None


def judge(content: str, decision: ConfirmDecision | None, asked: Asked | None, *, now: datetime) -> Verdict:
    """What this message decides. `asked`: the confirmation named by `decision`, else the session's newest one.

    A bare yes or no counts only right after the question: later it may be meant for something else."""
    if decision is not None:
        if asked is None or asked.id != decision.id:
            return Verdict.UNKNOWN
        return _decided(decision.decision == "approve", asked, now)
    said = yes_or_no(content)
    if said is None or asked is None or not asked.is_last_said:
        return Verdict.NONE
    if asked.state is State.OPEN:
        # A late yes was meant for this question, a late no changes nothing.
        is_late = now >= asked.expires_at
        return _decided(said, asked, now) if said or not is_late else Verdict.NONE
    is_same_yes = said and asked.state is State.APPROVED and now < asked.expires_at
    return _decided(True, asked, now) if is_same_yes else Verdict.NONE


def _decided(is_yes: bool, asked: Asked, now: datetime) -> Verdict:
    match asked.state:
        case State.OPEN if now >= asked.expires_at:
            return Verdict.EXPIRED
        case State.OPEN:
            return Verdict.APPROVE if is_yes else Verdict.REJECT
        case State.APPROVED if is_yes and asked.outcome is None and now < asked.expires_at + SAME_YES_WITHIN:
            # The yes was given, but nobody knows what came of it: the same call under the same intent.
            return Verdict.APPROVE
        case State.REPLACED:
            return Verdict.REPLACED
        case _:
            return Verdict.REPEATED


def hash_of(tool: str, arguments: Mapping[str, Any]) -> str:
    """Of the tool and its canonical arguments: what the person says yes to."""
    return hashlib.sha256(tool.encode() + b"\0" + orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)).hexdigest()


def question(asked: Asked) -> str:
    """Written in code: no text of the model stands beside what the person agrees to."""
    return (
        f"Please confirm before I go on:\n\n> {asked.effect}\n\nReply **yes** to go ahead or **no** to leave it. "
        "Nothing happens without your yes; this question is open for 15 minutes."
    )


def actions(asked: Asked) -> list[FollowupAction]:
    return [
        FollowupAction(kind="confirm", label="Yes, go ahead", value=str(asked.id)),
        FollowupAction(kind="reject", label="No", value=str(asked.id)),
    ]


def note_of_repeat(asked: Asked) -> str:
    """For the model, when the person answers a question that was answered before."""
    if asked.state is State.REJECTED:
        return (
            f"The person has already declined this: {asked.effect} Nothing was done. If they want it now, "
            f"call the tool {asked.tool} again."
        )
    return (
        f"The person has already confirmed this, and it was carried out once: {asked.effect}\n"
        f"The tool {asked.tool} answered: {asked.outcome or '(its answer was lost)'}\n"
        "If their message is that yes again: it cannot be carried out twice. Tell them what exists, with its number."
    )
