"""So many things at once for one person in this process; the rest of theirs wait, in order, and nobody else's do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID


class Turns:
    def __init__(self, at_once: int = 1) -> None:
        self._at_once = at_once
        self._known: dict[UUID, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, user_id: UUID) -> AsyncIterator[None]:
        """Forgets a person whom nobody asks for any more."""
        turns, users = self._known.get(user_id, (asyncio.Semaphore(self._at_once), 0))
        self._known[user_id] = (turns, users + 1)
        try:
            async with turns:
                yield
        finally:
            turns, users = self._known[user_id]
            if users == 1:
                del self._known[user_id]
            else:
                self._known[user_id] = (turns, users - 1)
