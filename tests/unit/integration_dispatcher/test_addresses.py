"""What a person's URL may not reach: every way to write an address of a private network, by name or by number."""

import ipaddress
import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integration_dispatcher.domain.addresses import AddressPolicy, AddressRefused, Endpoint, is_public
from integration_dispatcher.guarded_http import GuardedHttp

PUBLIC_ADDRESS = "93.184.216.34"
HTTP_TOO = AddressPolicy(https_only=False)

# Names of the stub DNS; each resolves into one of the private network, or into one of each kind.
RESOLVES = {
    "loopback.customer.com": ["127.0.0.1"],
    "loopback6.customer.com": ["::1"],
    "mixed.customer.com": [PUBLIC_ADDRESS, "10.0.0.7"],
    "metadata.customer.com": ["169.254.169.254"],
    "mapped.customer.com": ["::ffff:10.0.0.1"],
    "nat64.customer.com": ["64:ff9b::a00:1"],
    "zero.customer.com": ["0.0.0.0"],
}

BLOCKED = [
    *("https://127.0.0.1/", "https://127.8.9.10/", "https://0.0.0.0/", "https://0.1.2.3/", "https://10.0.0.1/"),
    *("https://100.64.0.1/", "https://100.127.255.254/", "https://169.254.169.254/latest/meta-data/"),
    *("https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/", "https://192.0.0.8/"),
    *("https://192.0.2.1/", "https://198.18.0.1/", "https://198.19.255.255/", "https://198.51.100.1/"),
    *("https://203.0.113.1/", "https://224.0.0.1/", "https://239.255.255.250/", "https://240.0.0.1/"),
    *("https://255.255.255.255/", "https://[::1]/", "https://[::]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/"),
    *("https://[fc00::1]/", "https://[fd12:3456::1]/", "https://[fec0::1]/", "https://[ff02::1]/"),
    *(
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[::127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
    ),
    *("https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/", "https://[2001::1]/", "https://[2001:db8::1]/"),
    *("https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://0x7f.1/", "https://127.1/"),
    *(
        "https://0177.0.0.1/",
        "https://127.0.0.1./",
        "https://1.2.3.4.5/",
        "https://999.1.1.1/",
        "https://0x7f.0.0.0x1/",
    ),
    *(
        "https://user@hooks.customer.com/",
        "https://user:pw@hooks.customer.com/",
        "https://hooks.customer.com@10.0.0.1/",
    ),
    *("https://localhost/", "https://localhost./", "https://app.localhost/", "https://kubernetes.default.svc/"),
    *("https://agent-service.ssa.svc.cluster.local/", "https://agent-service/", "https://metadata.google.internal/"),
    *("https://printer.local/", "https://hooks.customer.com./", "https://１２７.０.０.１/", "https://ⓛocalhost/"),
    *("https://ünïcode.customer.com/", "https://hooks.customer.com\\@10.0.0.1/", "https://hooks.customer.com\r\nx: y/"),
    *(
        "https://hooks.customer.com/\nhost: x",
        "https://hooks.customer.com/ x",
        "https:///path",
        "https://",
        "hooks.customer.com",
    ),
    *("file:///etc/passwd", "gopher://hooks.customer.com/", "ftp://hooks.customer.com/", "javascript:alert(1)"),
    *("https://hooks.customer.com:22/", "https://hooks.customer.com:25/", "https://hooks.customer.com:5432/"),
    *("https://hooks.customer.com:6443/", "https://hooks.customer.com:2379/", "https://hooks.customer.com:10250/"),
    *("https://hooks.customer.com:0/", "https://hooks.customer.com:70000/", "https://hooks.customer.com:x/"),
    *(
        "https://hooks..customer.com/",
        "https://-hooks.customer.com/",
        "https://hooks_1.customer.com/",
        "https://a%2eb.com/",
    ),
    *("https://[::1", "https://[not:an:address]/", "https://" + "a" * 64 + ".com/", "https://x.com/" + "a" * 2048),
    *(f"https://{name}/" for name in RESOLVES),
]


def no_socket(*_: int) -> socket.socket:
    raise AssertionError("a socket was opened")


class NoNetwork:
    """Resolves the names above. Any other question is a name that looked harmless: public."""

    async def __call__(self, host: str) -> list[str]:
        return RESOLVES.get(host, [PUBLIC_ADDRESS])


@pytest.mark.parametrize("url", BLOCKED)
async def test_nothing_reaches_a_private_network(url: str) -> None:
    for policy in (HTTP_TOO, AddressPolicy()):
        with pytest.raises(AddressRefused):
            await GuardedHttp(policy, NoNetwork(), timeout_s=2, new_socket=no_socket).post(url, b"{}", {})


def test_there_are_more_than_sixty_of_them() -> None:
    assert len(set(BLOCKED)) == len(BLOCKED) > 60


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://hooks.customer.com/x?y=1", Endpoint("https", "hooks.customer.com", 443)),
        ("https://HOOKS.Customer.com:8443/", Endpoint("https", "hooks.customer.com", 8443)),
        ("https://xn--bcher-kva.com/", Endpoint("https", "xn--bcher-kva.com", 443)),
        ("http://hooks.customer.com/", Endpoint("http", "hooks.customer.com", 80)),
        (f"https://{PUBLIC_ADDRESS}/", Endpoint("https", PUBLIC_ADDRESS, 443)),
        ("https://[2606:2800:220:1::1]/", Endpoint("https", "2606:2800:220:1::1", 443)),
    ],
)
def test_public_addresses_are_let_through(url: str, endpoint: Endpoint) -> None:
    assert HTTP_TOO.check_url(url) == endpoint


def test_production_wants_https() -> None:
    with pytest.raises(AddressRefused, match="https://"):
        AddressPolicy().check_url("http://hooks.customer.com/")


def test_named_hosts_and_networks_count_as_public_and_nothing_beside_them() -> None:
    policy = AddressPolicy(
        allowed_hosts=frozenset({"hooks.corp.internal"}), allowed_networks=(ipaddress.ip_network("10.1.0.0/16"),)
    )
    policy.check_url("https://hooks.corp.internal/")
    policy.check_address("hooks.corp.internal", "192.168.0.1")
    policy.check_url("https://10.1.2.3/")
    policy.check_address("hooks.customer.com", "10.1.2.3")
    for url in ("https://10.2.0.1/", "https://other.corp.internal/", "https://hooks.corp.internal:22/"):
        with pytest.raises(AddressRefused):
            policy.check_url(url)
    with pytest.raises(AddressRefused):
        policy.check_address("hooks.customer.com", "10.2.0.1")


@given(st.ip_addresses(v=4))
def test_what_python_calls_private_is_never_public(address: ipaddress.IPv4Address) -> None:
    if (
        address.is_private
        or address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
    ):
        assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv6_form_of_an_ipv4_address_is_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for prefix in ("::ffff:0:0", "::", "64:ff9b::", "64:ff9b:1::"):
        assert not is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | number))
    assert not is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address("2002::")) | number << 80))


@given(st.text(max_size=80))
def test_no_text_at_all_breaks_the_check(text: str) -> None:
    for url in (text, "https://" + text, "https://hooks.customer.com" + text):
        with suppress(AddressRefused):
            HTTP_TOO.check_url(url)
