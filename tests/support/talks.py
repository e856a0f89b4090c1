"""Conversations that several tests begin with."""

import re
from dataclasses import dataclass
from uuid import UUID

from tests.support.system import Answer, System

TICKET = re.compile(r"REQ\d{7}")


@dataclass(frozen=True)
class TicketAnswer:
    session: UUID
    number: str
    answer: str


async def start_refresh(system: System, person: str) -> Answer:
    """The answer with the laptop's facts and the verdict."""
    return await system.ask(person, "I need a new laptop")


async def to_confirmation(system: System, person: str) -> Answer:
    """The answer that asks for the person's yes."""
    start = await start_refresh(system, person)
    await system.ask(person, "yes", session=start.session)
    return await system.ask(person, "1", session=start.session)


async def to_ticket(system: System, person: str) -> TicketAnswer:
    """The whole way. The ticket's number is read from the answer."""
    asked = await to_confirmation(system, person)
    done = await system.ask(person, "yes", session=asked.session)
    found = TICKET.search(done.content)
    assert found, done.content
    return TicketAnswer(asked.session, found.group(), done.content)
