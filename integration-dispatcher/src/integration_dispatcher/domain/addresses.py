"""Which addresses an outgoing call to a person's own URL may reach. Pure; `guarded_http.py` asks at every step of a call.

Only what is certainly public is let through. Source: the IANA special-purpose address registries (RFC 6890, RFC 8190)."""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_LENGTH = 2048
MAX_HOST_LENGTH = 253

NOT_PUBLIC_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
NOT_PUBLIC_V6 = tuple(
    ipaddress.IPv6Network(network)
    # 2001::/23 holds Teredo and ORCHID, 2002::/16 is 6to4: both carry an IPv4 address inside.
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
PRIVATE_SUFFIXES = frozenset(
    {
        *("arpa", "cluster", "consul", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local"),
        *("localdomain", "localhost", "onion", "private", "svc", "test"),
    }
)
COMMON_PORTS = frozenset({80, 443})
# Ports above 1023 where databases, queues and control planes listen that answer to anybody who reaches them.
CLOSED_PORTS = frozenset(
    {
        *(1433, 1521, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5433, 5672, 5900, 5984, 6000, 6379, 6443),
        *(6667, 7000, 7001, 8001, 8472, 8500, 9042, 9090, 9092, 9100, 9200, 9300, 10248, 10249, 10250, 10255, 10256),
        *(11211, 15672, 27017),
    }
)
_LABEL = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
_NUMBER = re.compile(r"^(0x[0-9a-f]*|[0-9]+)$")


class AddressRefused(Exception):
    """This address may not be called from here. The text is for the person: it says which rule, never what a name resolves to."""


@dataclass(frozen=True)
class Endpoint:
    """What a URL points to; `host` as the resolver will see it."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True)
class AddressPolicy:
    """`allowed_hosts` and `allowed_networks` count as public: for receivers inside one's own network, and for tests."""

    https_only: bool = True
    allowed_hosts: frozenset[str] = frozenset()
    allowed_networks: tuple[Network, ...] = field(default=())

    def check_url(self, url: str) -> Endpoint:
        """Look at everything that is known without a look-up. Raises AddressRefused."""
        parts = _split(url)
        if parts.scheme not in (("https",) if self.https_only else ("https", "http")):
            raise AddressRefused("The URL must begin with https://.")
        if "@" in parts.netloc:
            raise AddressRefused("The URL must not hold a user name or password.")
        host = _host(parts)
        port = _port(parts)
        address = _literal(host)
        if address is not None:
            self.check_address(host, str(address))
        elif host not in self.allowed_hosts:
            _check_name(host)
        return Endpoint(parts.scheme, host, port)

    def check_address(self, host: str, address: str) -> None:
        """Look at one address that `host` resolves to. Raises AddressRefused."""
        if host in self.allowed_hosts:
            return
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError as exc:
            raise AddressRefused("The address is not an IP address.") from exc
        if not self._is_allowed(parsed):
            raise AddressRefused("The URL points into a network that is not public.")

    def _is_allowed(self, address: Address) -> bool:
        if any(address in network for network in self.allowed_networks if network.version == address.version):
            return True
        return is_public(address)


def is_public(address: Address) -> bool:
    """True for a global unicast address. An IPv4 address inside an IPv6 one is never public: nobody needs to write it so."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_V4)
    return address in PUBLIC_V6 and not any(address in network for network in NOT_PUBLIC_V6)


def _split(url: str) -> SplitResult:
    if len(url) > MAX_URL_LENGTH:
        raise AddressRefused(f"The URL has more than {MAX_URL_LENGTH} characters.")
    # Parsers disagree about exactly these; what is left reads the same everywhere.
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        raise AddressRefused("The URL must be plain ASCII without spaces; write other names in punycode.")
    try:
        return urlsplit(url)
    except ValueError as exc:
        raise AddressRefused("The URL cannot be read.") from exc


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    if not host or "%" in host or len(host) > MAX_HOST_LENGTH:
        raise AddressRefused("The URL has no usable host name.")
    return host


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError as exc:
        raise AddressRefused("The port is no number.") from exc
    if port is None:
        return 443 if parts.scheme == "https" else 80
    if port not in COMMON_PORTS and (port < 1024 or port in CLOSED_PORTS):
        raise AddressRefused("This port is not open to webhooks.")
    return port


def _literal(host: str) -> Address | None:
    """The address if the host is one; None for a name. Other spellings of an IPv4 address are refused."""
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host)
        except ValueError as exc:
            raise AddressRefused("The IPv6 address cannot be read.") from exc
    if not _NUMBER.match(host.rstrip(".").rpartition(".")[2]):
        return None
    try:
        return ipaddress.IPv4Address(host)
    except ValueError as exc:
        raise AddressRefused("Write an IPv4 address as four decimal numbers.") from exc


def _check_name(host: str) -> None:
    labels = host.split(".")
    if not all(_LABEL.match(label) for label in labels):
        raise AddressRefused("The URL has no usable host name.")
    if len(labels) < 2 or labels[-1] in PRIVATE_SUFFIXES:
        raise AddressRefused("The host name is one of a private network.")
