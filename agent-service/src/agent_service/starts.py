"""One start at a time for each person, so that the count of what is at work for them is right when the next one reads it.

Two statements at the same moment do not see each other. Exact within a process; across replicas two starts of one person at
the same instant may still both be let in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Starts:
    """Shared by all that start runs in a process."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def only_one(self, person: str) -> AsyncIterator[None]:
        """Let the starts of a person pass one after the other, in the order in which they came."""
        lock = self._locks.get(person)
        if lock is None:
            lock = self._locks[person] = asyncio.Lock()
        async with lock:
            yield
