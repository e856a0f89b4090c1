"""Joining what is asked of the database at the same moment: one statement then serves many callers.

A statement's fixed cost (round trip, parameters, set-up, flush) is most of what a small one costs. Nobody waits to be
joined: a call that finds nothing under way leaves at once, the next ones collect behind it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from shared_models.errors import Unavailable


class Batcher[Asked, Answer]:
    """`run` gets up to `most` calls and returns their answers in the same order; `at_once` of its runs are under way.

    When `run` fails for several calls, each is run alone: one that cannot be served harms no other. Only Unavailable is
    everybody's. A caller that has gone changes nothing for the others."""

    def __init__(
        self, run: Callable[[list[Asked]], Awaitable[Sequence[Answer]]], *, most: int = 32, at_once: int = 2
    ) -> None:
        self._run = run
        self._most = most
        self._at_once = at_once
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_leaving = False

    async def __call__(self, asked: Asked) -> Answer:
        """The answer to this call. Raises what `run` raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((asked, answer))
        if not self._is_leaving:
            # At the end of this turn of the loop: what arrives with it is joined.
            self._is_leaving = True
            loop.call_soon(self._leave)
        return await answer

    def _leave(self) -> None:
        self._is_leaving = False
        while len(self._under_way) < self._at_once and (batch := self._next()):
            task = asyncio.create_task(self._serve(batch))
            self._under_way.add(task)
            task.add_done_callback(self._back)

    def _next(self) -> list[tuple[Asked, "asyncio.Future[Answer]"]]:
        """What is to leave together; without those who have gone meanwhile."""
        batch: list[tuple[Asked, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._most:
            each = self._waiting.popleft()
            if not each[1].done():
                batch.append(each)
        return batch

    def _back(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._leave()

    async def _serve(self, batch: list[tuple[Asked, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers = await self._run([asked for asked, _ in batch])
        except Exception as exc:  # noqa: BLE001  # it is raised where it was asked
            await self._failed(batch, exc)
        except asyncio.CancelledError:
            for _, answer in batch:
                answer.cancel()
            raise
        else:
            for (_, answer), value in zip(batch, answers, strict=True):
                if not answer.done():
                    answer.set_result(value)

    async def _failed(self, batch: list[tuple[Asked, "asyncio.Future[Answer]"]], error: Exception) -> None:
        if len(batch) > 1 and not isinstance(error, Unavailable):
            for each in batch:
                await self._serve([each])
            return
        for _, answer in batch:
            if not answer.done():
                answer.set_exception(error)
