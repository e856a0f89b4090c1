"""Calls to addresses that people choose. On loopback: 127.0.0.2 counts as public, 127.0.0.1 is the private network."""

import asyncio
import ipaddress
import resource
from collections.abc import Iterable
from pathlib import Path

import pytest
from integration_dispatcher.domain.addresses import AddressPolicy, AddressRefused, Endpoint
from integration_dispatcher.guarded_http import MAX_REPLY_BYTES, GuardedHttp, NoAnswer, Reply, SystemLookup

from tests.support import hostile_server as bad
from tests.support.certificates import tls_pair
from tests.support.hostile_server import HostileServer, hostile_server

PUBLIC = "127.0.0.2"
PRIVATE = "127.0.0.1"
ONE_IS_PUBLIC = AddressPolicy(https_only=False, allowed_networks=(ipaddress.ip_network(PUBLIC + "/32"),))
HEADERS = {"webhook-id": "1"}


class StubDns:
    """Answers with the next list of addresses; the last one stays. Counts its questions."""

    def __init__(self, *answers: Iterable[str]) -> None:
        self._answers = [list(answer) for answer in answers]
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def guarded(dns: StubDns | None = None, *, timeout_s: float = 60.0) -> GuardedHttp:
    return GuardedHttp(ONE_IS_PUBLIC, dns or StubDns([PUBLIC]), timeout_s=timeout_s)


def named(server: HostileServer) -> str:
    return f"http://hooks.customer.com:{server.port}/path?x=1"


async def test_the_socket_goes_to_the_address_that_was_looked_at_and_the_host_stays_the_name() -> None:
    dns = StubDns([PUBLIC])
    async with hostile_server(bad.fine, host=PUBLIC) as server:
        reply = await guarded(dns).post(named(server), b"{}", HEADERS)
    assert reply == Reply(200)
    assert dns.asked == ["hooks.customer.com"]
    head = server.request.decode().lower()
    assert head.startswith("post /path?x=1 http/1.1\r\n")
    assert f"host: hooks.customer.com:{server.port}\r\n" in head
    assert "accept-encoding: identity\r\n" in head


@pytest.mark.parametrize("answer", [[PRIVATE], [PUBLIC, PRIVATE], ["::1"], ["::ffff:127.0.0.2"], ["not an address"]])
async def test_a_name_with_one_private_address_gets_no_packet(answer: list[str]) -> None:
    async with hostile_server(bad.fine) as private, hostile_server(bad.fine, host=PUBLIC) as public:
        for server in (private, public):
            with pytest.raises(AddressRefused):
                await guarded(StubDns(answer)).post(named(server), b"{}", HEADERS)
    assert (private.connections, public.connections) == (0, 0)


async def test_a_name_that_changes_after_the_look_is_connected_to_where_it_was_looked_at() -> None:
    dns = StubDns([PUBLIC], [PRIVATE])
    async with hostile_server(bad.fine) as private, hostile_server(bad.fine, host=PUBLIC) as public:
        guard = guarded(dns)
        assert (await guard.post(named(public), b"{}", HEADERS)).status == 200
        with pytest.raises(AddressRefused):
            await guard.post(named(private), b"{}", HEADERS)
    assert (private.connections, public.connections) == (0, 1)
    assert len(dns.asked) == 2


async def test_a_redirect_is_an_answer_and_never_followed() -> None:
    async with (
        hostile_server(bad.fine) as private,
        hostile_server(bad.redirect_to(private.url), host=PUBLIC) as public,
    ):
        reply = await guarded().post(named(public), b"{}", HEADERS)
    assert reply.status == 307
    assert private.connections == 0


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hostile_server(bad.fine) as proxy, hostile_server(bad.fine, host=PUBLIC) as public:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("no_proxy", "")
        await guarded().post(named(public), b"{}", HEADERS)
    assert (proxy.connections, public.connections) == (0, 1)


@pytest.mark.parametrize("behave", [bad.silent, bad.drip_headers])
async def test_a_receiver_that_does_not_answer_is_cut_off(behave: bad.Behaviour) -> None:
    async with hostile_server(behave, host=PUBLIC) as server:
        with pytest.raises(NoAnswer, match=r"No answer within 0\.3 seconds"):
            await guarded(timeout_s=0.3).post(named(server), b"{}", HEADERS)


@pytest.mark.parametrize("behave", [bad.endless_headers, bad.one_endless_header, bad.no_http, bad.cut_off])
async def test_a_reply_that_is_no_http_or_too_large_is_cut_off(behave: bad.Behaviour) -> None:
    async with hostile_server(behave, host=PUBLIC) as server:
        with pytest.raises(NoAnswer):
            await guarded().post(named(server), b"{}", HEADERS)
    assert server.sent_bytes < 20_000_000


@pytest.mark.parametrize("behave", [bad.gigabyte, bad.gzip_bomb])
async def test_at_most_64_kib_are_read_and_nothing_is_unpacked(behave: bad.Behaviour) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with hostile_server(behave, host=PUBLIC) as server:
        reply = await guarded().post(named(server), b"{}", HEADERS)
    assert reply.status == 500
    assert len(reply.words) <= MAX_REPLY_BYTES
    assert b"0000" not in reply.words
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


async def test_a_body_at_one_byte_at_a_time_does_not_hide_the_status() -> None:
    async with hostile_server(bad.drip_body, host=PUBLIC) as server:
        reply = await guarded().post(named(server), b"{}", HEADERS)
    assert reply.status == 503
    assert set(reply.words) == {ord("z")}


async def test_a_hanging_receiver_does_not_hold_up_the_others() -> None:
    async with hostile_server(bad.silent, host=PUBLIC) as slow, hostile_server(bad.fine, host=PUBLIC) as quick:
        guard = guarded()
        hanging = [asyncio.create_task(guard.post(named(slow), b"{}", HEADERS)) for _ in range(20)]
        assert (await guard.post(named(quick), b"{}", HEADERS)).status == 200
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)


async def test_nobody_listening_and_unknown_names_are_no_answer() -> None:
    async with hostile_server(bad.fine, host=PUBLIC) as server:
        pass
    with pytest.raises(NoAnswer, match="No connection"):
        await guarded().post(named(server), b"{}", HEADERS)

    class Unknown(StubDns):
        async def __call__(self, host: str) -> list[str]:
            raise OSError("no such name")

    with pytest.raises(NoAnswer, match="was not found"):
        await guarded(Unknown([])).post(named(server), b"{}", HEADERS)


async def test_tls_is_checked_against_the_name_of_the_url_and_not_the_address(tmp_path: Path) -> None:
    serving, trusting = tls_pair("hooks.customer.com", tmp_path)
    async with hostile_server(bad.fine, host=PUBLIC, tls=serving) as server:
        url = named(server).replace("http://", "https://")
        guard = GuardedHttp(ONE_IS_PUBLIC, StubDns([PUBLIC]), tls=trusting)
        assert (await guard.post(url, b"{}", HEADERS)).status == 200
        with pytest.raises(NoAnswer, match="No trusted TLS connection"):
            await guard.post(url.replace("hooks.", "other."), b"{}", HEADERS)
        with pytest.raises(NoAnswer, match="No trusted TLS connection"):
            await guarded().post(url, b"{}", HEADERS)


class Careless(AddressPolicy):
    """As if the look at the URL had missed something."""

    def check_url(self, url: str) -> Endpoint:
        return Endpoint("http", PRIVATE, 80)


async def test_an_address_in_the_url_is_looked_at_again_before_the_socket_opens() -> None:
    async with hostile_server(bad.fine) as private:
        guard = GuardedHttp(Careless(https_only=False), StubDns([PUBLIC]))
        for host in (PRIVATE, "[::ffff:127.0.0.1]", "[::1]"):
            with pytest.raises((AddressRefused, NoAnswer)):
                await guard.post(f"http://{host}:{private.port}/", b"{}", HEADERS)
    assert private.connections == 0


async def test_the_systems_lookup_gives_addresses_once_each() -> None:
    lookup = SystemLookup()
    try:
        assert await lookup(PRIVATE) == [PRIVATE]
    finally:
        lookup.close()
