"""POST to an address that a person has chosen: no private network, no redirect, no proxy, bounded time and size.

The name is resolved once, every address is looked at, and the socket is opened to one of exactly those: a name that
changes between look and connect (DNS rebinding) changes nothing. Host header and TLS name stay those of the URL."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from integration_dispatcher.domain.addresses import AddressPolicy, AddressRefused

MAX_REPLY_BYTES = 64 * 1024
WORDS_WITHIN_S = 2.0
LOOKUP_THREADS = 16

type Lookup = Callable[[str], Awaitable[list[str]]]
"""Resolve a name into addresses. Raises OSError."""


class NoAnswer(Exception):
    """Nothing usable came back. The text is for the person."""


@dataclass(frozen=True)
class Reply:
    """`words`: the beginning of the body; empty for a 2xx, whose body is read only when it was asked for."""

    status: int
    words: bytes = b""
    retry_after: str = ""


class SystemLookup:
    """The system's resolver, in threads of its own: a hanging name server must not hold up anything else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="webhook-lookup")

    async def __call__(self, host: str) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class _CheckedResolver(AbstractResolver):
    """Resolves for one call. Refuses a name as soon as one of its addresses is refused."""

    def __init__(self, policy: AddressPolicy, lookup: Lookup, allowed: set[str]) -> None:
        self._policy = policy
        self._lookup = lookup
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._lookup(host)
        for address in addresses:
            self._policy.check_address(host, address)
        self._allowed.update(addresses)
        return [_resolved(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Nothing is held."""


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )


class GuardedHttp:
    """One instance per process; each call has a connection of its own. `tls`: None trusts the system's authorities."""

    def __init__(
        self,
        policy: AddressPolicy,
        lookup: Lookup,
        *,
        timeout_s: float = 15.0,
        tls: ssl.SSLContext | None = None,
        new_socket: Callable[[int, int, int], socket.socket] = socket.socket,
    ) -> None:
        self.policy = policy
        self._new_socket = new_socket
        self._lookup = lookup
        self._timeout_s = timeout_s
        self._tls = tls or ssl.create_default_context()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, reads_body: bool = False) -> Reply:
        """Send, and return what came back, whatever its status. Raises AddressRefused, NoAnswer."""
        endpoint = self.policy.check_url(url)
        try:
            async with asyncio.timeout(self._timeout_s), self._session(endpoint.host) as session:
                return await _exchange(session, url, body, headers, reads_body=reads_body)
        except TimeoutError as exc:
            raise NoAnswer(f"No answer within {self._timeout_s:g} seconds.") from exc
        except aiohttp.ClientConnectorDNSError as exc:
            raise NoAnswer("The name of the receiver was not found.") from exc
        except aiohttp.ClientSSLError as exc:
            raise NoAnswer("No trusted TLS connection to the receiver.") from exc
        except aiohttp.InvalidURL as exc:
            raise AddressRefused("The URL cannot be read.") from exc
        except aiohttp.ClientConnectorError as exc:
            raise NoAnswer("No connection to the receiver.") from exc
        except aiohttp.ClientResponseError as exc:
            raise NoAnswer("The receiver's reply is not valid HTTP, or too large.") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise NoAnswer("The connection to the receiver broke.") from exc

    def _session(self, host: str) -> aiohttp.ClientSession:
        allowed: set[str] = set()

        def open_socket(info: "aiohttp.AddrInfoType") -> socket.socket:
            # The last point before a packet leaves: literals come here without a look-up.
            address = str(info[4][0])
            if address not in allowed:
                self.policy.check_address(host, address)
            return self._new_socket(info[0], info[1], info[2])

        connector = aiohttp.TCPConnector(
            resolver=_CheckedResolver(self.policy, self._lookup, allowed),
            socket_factory=open_socket,
            use_dns_cache=False,
            force_close=True,
            ssl=self._tls,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )


async def _exchange(
    session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str], *, reads_body: bool
) -> Reply:
    sent = {"accept-encoding": "identity", **headers}
    async with session.post(url, data=body, headers=sent, allow_redirects=False) as reply:
        is_taken = 200 <= reply.status < 300
        words = await _beginning(reply) if reads_body or not is_taken else b""
        reply.close()
        return Reply(reply.status, words, reply.headers.get("retry-after", ""))


async def _beginning(reply: aiohttp.ClientResponse) -> bytes:
    """At most 64 KiB of the body, as it came: never decompressed. A body that stops or breaks does not change the status."""
    read = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(WORDS_WITHIN_S):
            while len(read) < MAX_REPLY_BYTES:
                chunk = await reply.content.read(MAX_REPLY_BYTES - len(read))
                if not chunk:
                    break
                read += chunk
    return bytes(read)
