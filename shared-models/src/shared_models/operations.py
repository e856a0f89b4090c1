"""What operators see and say of dead letters. Ids, causes, counts and times; never what a person wrote."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared_models.enums import ServiceName
from shared_models.errors import InvalidRequest

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class DeadLetterKind(StrEnum):
    """What was given up: bringing a request to its answer, telling something by an event, or delivering an answer."""

    REQUEST = "request"
    EVENT = "event"
    DELIVERY = "delivery"


class DeadLetterView(BaseModel):
    """One thing that was given up. `attempts` counts tries that were answered, `lost` those that died with their process."""

    id: str = Field(description="stable, as agent-service:123")
    service: ServiceName
    kind: DeadLetterKind
    queue: str
    request_id: UUID | None
    cause: str
    attempts: int
    lost: int
    created_at: AwareDatetime
    dead_at: AwareDatetime
    replayable: bool = Field(description="false: its content was removed after its time")


class DeadLetterDetail(DeadLetterView):
    """`event`: the attributes of the event, if it is about one; `facts`: what else is known besides content."""

    event: dict[str, str] = Field(default_factory=dict)
    facts: dict[str, str] = Field(default_factory=dict)


class DeadLetterPage(BaseModel):
    """The newest first. `unreachable`: services that could not be asked; what they hold is missing here."""

    items: list[DeadLetterView]
    next_cursor: str | None = None
    unreachable: list[ServiceName] = Field(default_factory=list)


class DeadLetterFilter(BaseModel):
    """All that is given must fit. Ages count from the moment it was given up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: ServiceName | None = None
    kind: DeadLetterKind | None = None
    queue: str | None = Field(default=None, min_length=1, max_length=100)
    cause: str | None = Field(default=None, min_length=1, max_length=200, description="a part of it, in any case")
    older_than_s: float | None = Field(default=None, ge=0, le=1e9)
    newer_than_s: float | None = Field(default=None, ge=0, le=1e9)


class DeadLetterQuery(DeadLetterFilter):
    """What a page of the list is asked with."""

    cursor: str = Field(default="", max_length=200)
    limit: int = Field(default=20, ge=1, le=100)


class OneMoreQuery(DeadLetterQuery):
    """As request-manager asks its neighbours: one more than a page, to see whether there is a next one."""

    limit: int = Field(default=20, ge=1, le=101)


class ReplayFilter(DeadLetterFilter):
    """Which dead letters to replay. Nothing given needs `all`, so that nobody replays everything by mistake."""

    all: bool = False
    cursor: str = Field(default="", max_length=200)

    @property
    def is_empty(self) -> bool:
        return not self.model_dump(exclude_none=True, exclude={"all", "cursor"})


class Replayed(BaseModel):
    """`request_id`: the new request that asks again, for a request that had ended; null: the same work is due again."""

    id: str
    request_id: UUID | None = None


class NotReplayed(BaseModel):
    id: str
    code: str
    message: str


class ReplayResult(BaseModel):
    """`next_cursor`: more fit the filter; go on behind these."""

    replayed: list[Replayed]
    not_replayed: list[NotReplayed]
    next_cursor: str | None = None
    unreachable: list[ServiceName] = Field(default_factory=list)


class Place(BaseModel):
    """Where a page begins: behind this dead letter, the newest first."""

    model_config = ConfigDict(frozen=True)

    dead_at: AwareDatetime
    id: str

    @classmethod
    def of(cls, letter: DeadLetterView) -> Self:
        return cls(dead_at=letter.dead_at, id=letter.id)

    @classmethod
    def read(cls, cursor: str) -> Self | None:
        """None for the beginning. Raises InvalidRequest for what was never handed out."""
        if not cursor:
            return None
        number, _, letter_id = cursor.partition("~")
        try:
            return cls(dead_at=EPOCH + int(number) * MICROSECOND, id=letter_id)
        except (ValueError, OverflowError) as exc:
            raise InvalidRequest("This cursor is not one that was handed out.") from exc

    @property
    def cursor(self) -> str:
        return f"{(self.dead_at - EPOCH) // MICROSECOND}~{self.id}"


def merged(pages: list[list[DeadLetterView]], limit: int) -> list[DeadLetterView]:
    """The newest of several lists, each the newest first."""
    letters = [letter for page in pages for letter in page]
    return sorted(letters, key=lambda each: (each.dead_at, each.id), reverse=True)[:limit]


def page_of(letters: list[DeadLetterView], limit: int, unreachable: list[ServiceName] | None = None) -> DeadLetterPage:
    """A page of `limit` out of one letter more, if there is one."""
    items = letters[:limit]
    cursor = Place.of(items[-1]).cursor if len(letters) > limit else None
    return DeadLetterPage(items=items, next_cursor=cursor, unreachable=unreachable or [])
