"""Which links of a model's text become links in Slack: none that leads elsewhere than its words say. Pure."""

import re
import unicodedata
from urllib.parse import urlsplit

MAX_URL_LENGTH = 1000
WEB = ("http", "https")
DOTS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": ".", "\u2024": "."})
UNSAFE = str.maketrans({"<": "%3C", ">": "%3E", "|": "%7C", '"': "%22"})

BARE_URL = re.compile(r"https?://[^\s<>\"'`|]+")
TRAILING = ".,;:!?)]}*_~"
_NAMES = re.compile(r"(?:[\w-]+\.)+[\w-]+")
_AFTER_SCHEME = re.compile(r"\w+:/*([^/\s:@]+)")


def usable_url(href: str) -> str:
    """The URL as it can stand in a link; empty when it must not be one: another scheme, a user name inside, too long."""
    url = href.strip().translate(UNSAFE)
    if len(url) > MAX_URL_LENGTH or not url.isprintable() or re.search(r"\s", url):
        return ""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return ""
    if parts.scheme == "mailto":
        return url
    is_web = parts.scheme in WEB and bool(host) and "@" not in parts.netloc and "\\" not in url
    return url if is_web else ""


def is_misleading(label: str, url: str) -> bool:
    """True when the words hold what reads as a host, and it is not the one that the link leads to."""
    host = _host(url)
    return any(_ascii(name) not in (host, f"www.{host}", host.removeprefix("www.")) for name in _named_hosts(label))


def _host(url: str) -> str:
    parts = urlsplit(url)
    return (parts.hostname or parts.path.rpartition("@")[2]).lower().rstrip(".")


def _named_hosts(label: str) -> list[str]:
    visible = "".join(each for each in label.translate(DOTS) if unicodedata.category(each) != "Cf")
    text = unicodedata.normalize("NFKC", visible).translate(DOTS).lower()
    dotted = [name for name in _NAMES.findall(text) if _reads_as_host(name)]
    return dotted + _AFTER_SCHEME.findall(text)


def _reads_as_host(name: str) -> bool:
    labels = name.split(".")
    return not labels[-1].isdecimal() or (len(labels) == 4 and all(each.isdecimal() for each in labels))


def _ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name
