"""The load client of a fault run, a process of its own: `python -m tests.chaos.client JOB`, a file of JSON.

Many people talk in many sessions, some requests at once, some cancelled, some sessions closed in mid-run. Whatever was
answered 2xx is in `ledger.jsonl` on the disk before the client goes on; what failed is sent again with the same key."""

import asyncio
import json
import random
import sys
import time
import uuid
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from tests.chaos.lines import Json, Lines
from tests.chaos.people import ChaosPerson
from tests.chaos.talk import Do, Said, new_said

PATIENCE_S = 150.0
RESULT_WAIT_S = 20
LAPTOP_TALK = ("I need a new laptop", "yes", "1", "yes")
STEP_TRIES = 12
COMMON = {Do.ANSWER: 85, Do.ANSWER_SLOWLY: 4}
ODD = {do: 1 for do in Do if do not in COMMON}


@dataclass(frozen=True)
class ClientJob:
    """`until`: a file whose appearance ends the run; `most`: a number of accepted requests that ends it as well.

    `kind`: talk (all that people do), race (cancels and closes against answers), queue (single requests, nobody waits)."""

    url: str
    folder: str
    until: str
    seed: int
    talkers: list[Json]
    owners: list[Json]
    kind: str = "talk"
    most: int = 1_000_000
    pause_s: float = 0.05
    share_of_odd: float = 1.0
    laptops_within_s: float = 20.0


@dataclass
class Client:
    job: ClientJob
    http: aiohttp.ClientSession
    ledger: Lines
    chance: random.Random
    accepted: int = 0
    unanswered: int = 0
    stopped_at: float = field(default=0.0)

    @property
    def is_over(self) -> bool:
        if not self.stopped_at and (Path(self.job.until).exists() or self.accepted >= self.job.most):
            self.stopped_at = time.monotonic()
        return self.stopped_at > 0

    async def run(self) -> None:
        play = {"talk": self._talk, "race": self._race, "queue": self._queue}[self.job.kind]
        talkers = [play(ChaosPerson(**each)) for each in self.job.talkers]
        owners = [self._replace_laptop(ChaosPerson(**each)) for each in self.job.owners]
        await asyncio.gather(*talkers, *owners)

    # --- one request

    async def call(self, person: ChaosPerson, method: str, path: str, **given: Any) -> tuple[int, Json]:
        """Until there is an answer that is final: connection errors, 429 and 5xx are tried again, with the same body and key."""
        headers = {"authorization": f"Bearer {person.key}", **given.pop("headers", {})}
        give_up_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_at:
            try:
                async with self.http.request(
                    method, self.job.url + path, headers=headers, timeout=aiohttp.ClientTimeout(40), **given
                ) as reply:
                    text = await reply.text()
                    if reply.status < 500 and reply.status != 429:
                        return reply.status, json.loads(text) if text else {}
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                pass
            self.unanswered += 1
            await asyncio.sleep(0.1 + self.chance.random() * 0.4)
        return 0, {}

    async def ask(self, person: ChaosPerson, body: Json, *, wait_s: int, **facts: Any) -> Json | None:
        """Post a request. Returns the body of the 2xx; None when it was refused, which is written down too."""
        headers = {"idempotency-key": uuid.uuid4().hex, "prefer": f"wait={wait_s}" if wait_s else "respond-async"}
        asked_at = time.time()
        status, answer = await self.call(person, "POST", "/api/v1/requests/generic", json=body, headers=headers)
        if status not in (200, 202):
            self.ledger.add(kind="refused", **_answered(status, answer), **facts)
            return None
        self.accepted += 1
        key, to = headers["idempotency-key"], body.get("deliver_to", [])
        mine = {"request_id": answer["request_id"], "canary": person.canary}
        known = {"session_id": answer["session_id"], "key": key, "deliver_to": to, **mine, **_answered(status, answer)}
        self.ledger.add(kind="accepted", asked_at=asked_at, at=time.time(), **known, **facts)
        if self.chance.random() < 0.05:
            again, repeated = await self.call(person, "POST", "/api/v1/requests/generic", json=body, headers=headers)
            same = repeated.get("request_id", "") if again in (200, 202) else ""
            self.ledger.add(kind="repeated", repeat_id=same, **mine, **_answered(again, repeated))
        return answer

    async def say(self, person: ChaosPerson, said: Said, session: str | None, **more: Any) -> Json | None:
        body: Json = {"content": said.words, **({"session_id": session} if session else {})}
        to = self.chance.choice([[], ["webhook"], ["test"], ["webhook"]])
        if to:
            body["deliver_to"] = to
        if said.do is Do.CUT_ONCE and self.chance.random() < 0.5:
            body["stream"] = True
        wait_s = self.chance.choice([0, 0, 2, 10])
        return await self.ask(person, body, wait_s=wait_s, nonce=said.nonce, do=said.do, **more)

    def some(self, person: ChaosPerson) -> Said:
        weights = {**COMMON, **dict.fromkeys(ODD, self.job.share_of_odd)}
        return new_said(person.canary, self.chance.choices(list(weights), list(weights.values()))[0])

    # --- what people do

    async def _talk(self, person: ChaosPerson) -> None:
        while not self.is_over:
            is_closed = self.chance.random() < 0.1
            about = {"may_close": True} if is_closed else {}
            first = await self.say(person, self.some(person), None, **about)
            if first is not None:
                await self._go_on(person, first["session_id"], about)
            await asyncio.sleep(self.chance.random() * self.job.pause_s * 2)

    async def _go_on(self, person: ChaosPerson, session: str, about: Json) -> None:
        for _ in range(self.chance.randrange(4)):
            if self.is_over:
                return
            at_once: list[Awaitable[Any]] = [self.say(person, self.some(person), session, **about)]
            if self.chance.random() < 0.3:
                at_once += [self.say(person, self.some(person), session, **about) for _ in range(2)]
            if self.chance.random() < 0.12:
                at_once.append(self._cancelled(person, session, **about))
            await asyncio.gather(*at_once)
            await asyncio.sleep(self.chance.random() * self.job.pause_s * 2)
        if about:
            late = [self.say(person, self.some(person), session, **about) for _ in range(2)]
            await asyncio.gather(*late, self._close(person, session))

    async def _cancelled(self, person: ChaosPerson, session: str, **about: Any) -> None:
        """A cancel that races with the answer."""
        said = new_said(person.canary, self.chance.choice([Do.ANSWER, Do.ANSWER_SLOWLY]))
        body = {"content": said.words, "session_id": session, "deliver_to": ["test"]}
        asked = await self.ask(person, body, wait_s=0, nonce=said.nonce, do=said.do, may_cancel=True, **about)
        if asked is not None:
            await asyncio.sleep(self.chance.random() * 0.05)
            await self._cancel(person, asked["request_id"])

    async def _cancel(self, person: ChaosPerson, request_id: str) -> None:
        status, state = await self.call(person, "POST", f"/api/v1/requests/{request_id}/cancel")
        mine = {"request_id": request_id, "canary": person.canary}
        self.ledger.add(kind="cancel", **mine, **_answered(status, state))

    async def _close(self, person: ChaosPerson, session: str) -> None:
        await asyncio.sleep(self.chance.random() * 0.05)
        status, view = await self.call(person, "POST", f"/api/v1/sessions/{session}/close")
        self.ledger.add(kind="close", session_id=session, state=view.get("status", ""), **_answered(status, view))

    async def _race(self, person: ChaosPerson) -> None:
        """Two requests of a session, then at once: a cancel of one of them, the close, a third request."""
        about = {"may_close": True}
        while not self.is_over:
            first = await self._queued(person, None, may_cancel=True, **about)
            if first is None:
                continue
            session = first["session_id"]
            second = await self._queued(person, session, may_cancel=True, **about)
            await asyncio.sleep(self.chance.random() * 0.03)
            # The first is mostly answered by now, the second mostly waits behind it.
            cancel = self._cancel(person, self.chance.choice([first, second or first])["request_id"])
            await asyncio.gather(cancel, self._close(person, session), self._queued(person, session, **about))

    async def _queue(self, person: ChaosPerson) -> None:
        while not self.is_over:
            await self._queued(person, None)

    async def _queued(self, person: ChaosPerson, session: str | None, **about: Any) -> Json | None:
        said = new_said(person.canary, Do.ANSWER)
        body: Json = {"content": said.words, **({"session_id": session} if session else {})}
        if self.chance.random() < 0.2:
            body["deliver_to"] = ["test"]
        return await self.ask(person, body, wait_s=0, nonce=said.nonce, do=said.do, **about)

    async def _replace_laptop(self, person: ChaosPerson) -> None:
        """The whole way to a ticket, at some moment of the run; the last yes is said twice at once."""
        await asyncio.sleep(self.chance.uniform(0, self.job.laptops_within_s))
        session = None
        for place, words in enumerate(LAPTOP_TALK):
            is_last = place == len(LAPTOP_TALK) - 1
            answer = await self._step(person, words, session, twice=is_last)
            if answer is None:
                return
            session = answer["session_id"]

    async def _step(self, person: ChaosPerson, words: str, session: str | None, *, twice: bool) -> Json | None:
        """Say it until the answer is one: while a tool server is away, a request ends as failed."""
        for _ in range(STEP_TRIES):
            body = {"content": words, **({"session_id": session} if session else {})}
            asks = [self.ask(person, body, wait_s=10, laptop=True) for _ in range(2 if twice else 1)]
            asked = (await asyncio.gather(*asks))[0]
            if asked is None:
                return None
            ended = await self._ended(person, asked["request_id"])
            if ended is None or ended["status"] == "completed":
                return ended
            session = session or asked["session_id"]
        return None

    async def _ended(self, person: ChaosPerson, request_id: str) -> Json | None:
        give_up_at = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_at:
            path = f"/api/v1/requests/{request_id}/result?wait={RESULT_WAIT_S}"
            status, result = await self.call(person, "GET", path)
            if status == 200:
                mine = {"request_id": request_id, "canary": person.canary}
                self.ledger.add(kind="read", **mine, **_answered(status, result))
                return result
        return None


def _answered(status: int, answer: Json) -> Json:
    """What of an answer goes into the ledger. Status 0: there was none. `told`: how a request has ended, and in which words,
    where the answer has them."""
    line: Json = {"status": status, "code": answer.get("code", "")}
    if status == 200 and "request_id" in answer:
        line["told"] = {"status": answer["status"]}
        if "response" in answer:
            response, error = answer["response"] or {}, answer["error"] or {}
            line["told"]["content"] = response.get("content", "") or error.get("message", "")
    return line


async def perform(job: ClientJob) -> None:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=5)
    async with aiohttp.ClientSession(connector=connector) as http:
        ledger = Lines(Path(job.folder) / "ledger.jsonl")
        client = Client(job, http, ledger, random.Random(job.seed))
        await client.run()
        ledger.add(kind="done", until=job.until, unanswered=client.unanswered)


if __name__ == "__main__":
    uvloop.run(perform(ClientJob(**json.loads(Path(sys.argv[1]).read_text()))))
