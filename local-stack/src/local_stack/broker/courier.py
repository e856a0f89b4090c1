"""Carries one event to one address: attempts, pauses, replies. HTTP in binary mode over kept connections."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp
from shared_models.enums import ServiceName
from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from shared_models.tokens import ServiceTokens

from local_stack.broker.knobs import Mischief
from local_stack.broker.manifests import Destination, Mode, Policy
from local_stack.broker.rules import Answer, Failure, Verdict, judge, pause_s
from local_stack.broker.settings import RELEASE
from local_stack.broker.wire import MAX_EVENT_BYTES, Event, NotAnEvent, parse

SERVICES = {RELEASE + service.value: service for service in ServiceName}
NO_ANSWER = Answer()
# An event without a type of its data gets none on the way.
SKIPPED_HEADERS = ("user-agent", "accept", "accept-encoding", "content-type")
MAX_ATTEMPTS_AT_ONCE = 64

log = get_logger(__name__)

type Publish = Callable[[Event], Awaitable[None]]


class Courier:
    """`tokens` None: subscribers get no Authorization. `counts` is what has happened so far, by name."""

    def __init__(self, mode: Mode, tokens: ServiceTokens | None) -> None:
        self.mode = mode
        self.mischief = Mischief()
        self.counts: Counter[str] = Counter()
        self._tokens = tokens
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MAX_ATTEMPTS_AT_ONCE))
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=SKIPPED_HEADERS,
            auto_decompress=False,
        )

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def carry(
        self, event: Event, to: Destination, policy: Policy, namespace: str, publish: Publish
    ) -> Failure | None:
        """Try until it is done or given up. `publish` sends a reply on through the broker. Returns why it was given up."""
        headers = self._headers(event, namespace)
        retry = 0
        while True:
            answer = await self._attempt(event, headers, to, policy.timeout_s)
            verdict = await self._settled(answer, publish)
            if verdict is Verdict.DONE:
                await self._copies(event, headers, to, policy)
                return None
            if verdict is Verdict.FAILED or retry == policy.retry:
                return Failure(to.url, answer)
            retry += 1
            self.counts["retries"] += 1
            await asyncio.sleep(pause_s(policy, retry, answer, self.mode))

    async def _settled(self, answer: Answer, publish: Publish) -> Verdict:
        """The verdict once a reply is stored; a reply that is no event, or cannot be stored, is a failed delivery."""
        verdict = judge(answer, self.mode)
        if verdict is not Verdict.REPLY:
            return verdict
        try:
            raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
            await publish(parse(raw, answer.body))
        except NotAnEvent:
            return Verdict.FAILED
        except Unavailable:
            return Verdict.RETRY
        self.counts["replies"] += 1
        return Verdict.DONE

    async def _attempt(self, event: Event, headers: dict[str, str], to: Destination, timeout_s: float) -> Answer:
        if not self.mischief.is_idle:
            await self.mischief.before_attempt()
        async with self._slots[to.url]:
            self.counts["attempts"] += 1
            answer = await self._post(event, headers, to, timeout_s)
        if self.mischief.loses_answer():
            self.counts["lost_answers"] += 1
            return NO_ANSWER
        return answer

    async def _copies(self, event: Event, headers: dict[str, str], to: Destination, policy: Policy) -> None:
        """A copy is tried again as its event would be; `copies_refused` are those that were not taken in the end."""
        for _ in range(self.mischief.knobs.copies):
            self.counts["copies"] += 1
            for retry in range(1, policy.retry + 2):
                answer = await self._post(event, headers, to, policy.timeout_s)
                verdict = judge(answer, self.mode)
                if verdict is not Verdict.RETRY or retry > policy.retry:
                    break
                await asyncio.sleep(pause_s(policy, retry, answer, self.mode))
            self.counts["copies_refused"] += verdict in (Verdict.RETRY, Verdict.FAILED)

    async def _post(self, event: Event, headers: dict[str, str], to: Destination, timeout_s: float) -> Answer:
        assert self._http is not None
        if self._tokens is not None and to.name in SERVICES:
            headers["authorization"] = f"Bearer {self._tokens.make(SERVICES[to.name])}"
        else:
            headers.pop("authorization", None)
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._http.post(
                to.url, data=event.data, headers=headers, timeout=timeout, allow_redirects=False
            ) as reply:
                body = b"" if reply.content_length == 0 else await _read(reply)
                return Answer(reply.status, {name.lower(): value for name, value in reply.headers.items()}, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            log.debug("subscriber_unreachable", host=urlsplit(to.url).netloc, cause=type(exc).__name__)
            return NO_ANSWER

    def _headers(self, event: Event, namespace: str) -> dict[str, str]:
        headers = {**event.headers(), "prefer": "reply", "kn-namespace": namespace}
        if "traceparent" in event.attributes:
            headers["traceparent"] = event.attributes["traceparent"]
        return headers


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    """The body, cut behind the size of the largest event; a longer one can be no reply."""
    parts: list[bytes] = []
    size_bytes = 0
    async for part in reply.content.iter_chunked(65536):
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > MAX_EVENT_BYTES:
            reply.close()
            break
    return b"".join(parts)
