"""Requests of several people in one statement: each gets what it would get alone."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from request_manager.domain.limits import Limits
from request_manager.domain.normalizer import IncomingRequest
from request_manager.store.accept import AcceptOutcome, Verdict, accept
from shared_models.enums import IntegrationType

from tests.support.request_manager import Replica, Someone, Stage

LIMITS = Limits(per_minute=60, open_requests=2, session_timeout=timedelta(hours=1), deadline=timedelta(hours=24))


def request_of(user_id: UUID, content: str = "hello", **changed: Any) -> IncomingRequest:
    now = datetime.now(UTC)
    plain = IncomingRequest(
        request_id=uuid4(),
        user_id=user_id,
        caller_id=f"user:{user_id}",
        integration_type=IntegrationType.GENERIC,
        request_type="message",
        content=content,
        session_id=None,
        conversation_key="",
        metadata={},
        context={},
        delivery=None,
        confirm=None,
        stream=False,
        created_at=now,
        deadline_at=now + timedelta(hours=24),
    )
    return replace(plain, **changed)


async def alone(replica: Replica, request: IncomingRequest) -> AcceptOutcome:
    [outcome] = await accept(replica.parts.database, [request], LIMITS, worker=None)
    return outcome


async def test_each_of_many_people_gets_their_own_verdict(stage: Stage, replica: Replica) -> None:
    names = ("new", "goes-on", "stranger", "repeats", "limited", "expired", "state")
    people = {name: (await stage.person(name)).user_id for name in names}
    known = request_of(people["goes-on"])
    first = await alone(replica, known)
    assert first.place is not None
    again = request_of(people["repeats"], idempotency_key="once", body_hash=b"1" * 32)
    await alone(replica, again)
    for _ in range(LIMITS.open_requests):
        await alone(replica, request_of(people["limited"]))
    old = await alone(replica, request_of(people["expired"], conversation_key="thread"))
    await replica.parts.database.execute("update conversations set expires_at = now() where key = 'thread'")
    asked = {
        "new": request_of(people["new"]),
        "goes-on": request_of(people["goes-on"], session_id=first.place.session_id),
        "stranger": request_of(people["stranger"], session_id=first.place.session_id),
        "repeats": replace(again, request_id=uuid4()),
        "limited": request_of(people["limited"]),
        "expired": request_of(people["expired"], conversation_key="thread"),
        "state": request_of(people["state"], "status"),
        "nobody": request_of(uuid4()),
    }
    outcomes = dict(
        zip(asked, await accept(replica.parts.database, list(asked.values()), LIMITS, worker=None), strict=True)
    )
    assert {name: outcome.verdict for name, outcome in outcomes.items()} == {
        "new": Verdict.NEW,
        "goes-on": Verdict.NEW,
        "stranger": Verdict.FOREIGN,
        "repeats": Verdict.REPEAT,
        "limited": Verdict.LIMITED,
        "expired": Verdict.NEW,
        "state": Verdict.NEW,
        "nobody": Verdict.UNKNOWN_PERSON,
    }
    place = outcomes["goes-on"].place
    assert place is not None
    assert (place.session_id, place.sequence) == (first.place.session_id, 2)
    assert outcomes["repeats"].repeat is not None
    assert outcomes["repeats"].repeat.request_id == again.request_id
    moved = outcomes["expired"].place
    assert moved is not None
    assert old.place is not None
    assert (moved.session_id != old.place.session_id, moved.sequence) == (True, 1)
    rows = await replica.parts.database.fetch(
        "select r.user_id, r.content, w.key from request_logs r join work_items w on w.ref = r.request_id::text"
        " where r.request_id = any($1::uuid[])",
        [request.request_id for request in asked.values()],
    )
    assert {(row["user_id"], row["content"], row["key"] is None) for row in rows} == {
        (people["new"], "hello", False),
        (people["goes-on"], "hello", False),
        (people["expired"], "hello", False),
        (people["state"], "status", True),
    }


async def test_one_key_used_for_two_people_at_once_is_refused_as_a_whole(stage: Stage, replica: Replica) -> None:
    """A system that acts for both: the batch is undone, and tried one by one by its caller."""
    ana, bob = await stage.person("ana"), await stage.person("bob")
    both = [request_of(who.user_id, caller_id="tool:1", idempotency_key="k", body_hash=b"1" * 32) for who in (ana, bob)]
    with pytest.raises(asyncpg.UniqueViolationError):
        await accept(replica.parts.database, both, LIMITS, worker=None)
    assert await replica.parts.database.fetchval("select count(*) from request_logs") == 0


async def test_requests_of_many_people_at_once_are_all_answered(stage: Stage, replica: Replica) -> None:
    people: list[Someone] = [await stage.person(f"person{n}") for n in range(12)]
    replies = await asyncio.gather(*(replica.ask(who, f"question of {who.email}") for who in people for _ in range(2)))
    said = [reply.json()["response"]["content"] for reply in replies]
    assert said == [f"You said: question of {who.email}" for who in people for _ in range(2)]
