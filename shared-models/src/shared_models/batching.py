"""Joining what is asked of the database at the same moment: one statement then serves many callers.

A statement's fixed cost (round trip, parameters, set-up, flush) is most of what a small one costs. Nobody waits to be
joined: a call that finds nothing under way leaves at once, the next ones collect behind it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial

from shared_models.errors import Unavailable


@dataclass(frozen=True)
class _Call[Asked, Answer]:
    asked: Asked
    key: Hashable
    answer: "asyncio.Future[Answer]"


class Batcher[Asked, Answer]:
    """`run` gets up to `most` calls and returns their answers in the same order; `at_once` of its runs are under way.

    Calls of one `key` are never under way together: they follow each other in their order. When `run` fails for several
    calls, each is run alone: one that cannot be served harms no other. Only Unavailable is everybody's. A caller that has
    gone changes nothing for the others."""

    def __init__(
        self,
        run: Callable[[list[Asked]], Awaitable[Sequence[Answer]]],
        *,
        key: Callable[[Asked], Hashable],
        most: int = 32,
        at_once: int = 2,
    ) -> None:
        self._run = run
        self._key = key
        self._most = most
        self._at_once = at_once
        self._ready: deque[_Call[Asked, Answer]] = deque()
        self._behind: dict[Hashable, deque[_Call[Asked, Answer]]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_leaving = False

    async def __call__(self, asked: Asked) -> Answer:
        """The answer to this call. Raises what `run` raises."""
        loop = asyncio.get_running_loop()
        call: _Call[Asked, Answer] = _Call(asked, self._key(asked), loop.create_future())
        if call.key in self._behind:
            self._behind[call.key].append(call)
        else:
            self._behind[call.key] = deque()
            self._ready.append(call)
        if not self._is_leaving:
            # At the end of this turn of the loop: what arrives with it is joined.
            self._is_leaving = True
            loop.call_soon(self._leave)
        return await call.answer

    def _leave(self) -> None:
        self._is_leaving = False
        while len(self._under_way) < self._at_once and (batch := self._next()):
            task = asyncio.create_task(self._serve(batch))
            self._under_way.add(task)
            task.add_done_callback(partial(self._back, batch))

    def _next(self) -> list[_Call[Asked, Answer]]:
        """What is to leave together; without those who have gone meanwhile."""
        batch: list[_Call[Asked, Answer]] = []
        while self._ready and len(batch) < self._most:
            call = self._ready.popleft()
            if call.answer.done():
                self._free(call.key)
            else:
                batch.append(call)
        return batch

    def _back(self, batch: list[_Call[Asked, Answer]], task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        for call in batch:
            self._free(call.key)
        self._leave()

    def _free(self, key: Hashable) -> None:
        behind = self._behind[key]
        if behind:
            self._ready.append(behind.popleft())
        else:
            del self._behind[key]

    async def _serve(self, batch: list[_Call[Asked, Answer]]) -> None:
        try:
            answers = list(zip(batch, await self._run([call.asked for call in batch]), strict=True))
        except Exception as exc:  # noqa: BLE001  # it is raised where it was asked
            await self._failed(batch, exc)
        except asyncio.CancelledError:
            for call in batch:
                call.answer.cancel()
            raise
        else:
            for call, answer in answers:
                if not call.answer.done():
                    call.answer.set_result(answer)

    async def _failed(self, batch: list[_Call[Asked, Answer]], error: Exception) -> None:
        if len(batch) > 1 and not isinstance(error, Unavailable):
            for call in batch:
                await self._serve([call])
            return
        for call in batch:
            if not call.answer.done():
                call.answer.set_exception(error)
