"""Which server, and which token: flags, then the environment, then what `make up` wrote, then what `ssa login` kept."""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from self_service_cli.failures import usage
from self_service_cli.keyring_store import LoginStore, SavedLogin

DEFAULT_URL = "http://127.0.0.1:8080"
LOCAL_FILE = Path(".local/env")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Connection:
    """`token` is empty when there is none; a login may have to be renewed before it is used."""

    url: str
    url_from: str
    token: str = field(default="", repr=False)
    token_from: str = ""
    login: SavedLogin | None = field(default=None, repr=False)


@dataclass(frozen=True)
class LocalFile:
    """The address and the demo person's token that a running `make up` wrote."""

    path: Path
    url: str
    token: str = field(repr=False)


def find_connection(
    *, url: str, token: str, environ: Mapping[str, str], folders: Iterable[Path], logins: LoginStore
) -> Connection:
    """`url` and `token`: the flags, empty if not given. `folders`: where to look upwards for `.local/env`.

    A token goes only to the server it belongs to: the local one's token and a saved login never to another address."""
    local = find_local_file(folders)
    url, url_from = _first(
        (url, "--url"),
        (environ.get("SSA_URL", ""), "SSA_URL"),
        (local.url if local else "", str(local.path) if local else ""),
        (DEFAULT_URL, "default"),
    )
    url = check_url(url, url_from)
    token, token_from = _first(
        (token, "--token"),
        (environ.get("SSA_TOKEN", ""), "SSA_TOKEN"),
        (local.token if local and is_same_server(local.url, url) else "", str(local.path) if local else ""),
    )
    if token:
        return Connection(url, url_from, check_token(token, token_from), token_from)
    login = logins.get(url)
    return Connection(url, url_from, token_from="ssa login" if login else "", login=login)


def check_url(url: str, given_by: str) -> str:
    """The server's address without a slash at the end. Raises Failure (usage) for what is none."""
    check_address(url, given_by)
    parts = urlsplit(url)
    if parts.username or parts.query or parts.fragment:
        raise usage(f"{given_by} may hold no user, query or fragment.", "Give the token with SSA_TOKEN.")
    return url.rstrip("/")


def check_address(url: str, given_by: str) -> None:
    """Raises Failure (usage) for what is no HTTP address."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        raise usage(f"{given_by} is not an address.", "Write it like https://it.example.com.")


def check_token(token: str, given_by: str) -> str:
    """Raises Failure (usage) for what could not be a token: it would break the header."""
    token = token.strip()
    if not token or not all("!" <= character <= "~" for character in token):
        raise usage(f"The token of {given_by} is not one: it may hold no spaces and no special characters.")
    return token


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK


def is_same_server(one: str, other: str) -> bool:
    """Equal addresses; the names of this machine are one."""
    if one == other:
        return True
    first, second = urlsplit(one), urlsplit(other)
    return is_loopback(one) and is_loopback(other) and (first.scheme, first.port) == (second.scheme, second.port)


def find_local_file(folders: Iterable[Path]) -> LocalFile | None:
    """The nearest `.local/env` at or above one of the folders.

    Another person's file, and one that names a server elsewhere, is passed over: tokens would follow it there."""
    for folder in folders:
        for level in (folder, *folder.parents):
            found = _read_local_file(level / LOCAL_FILE)
            if found is not None:
                return found
    return None


def _read_local_file(path: Path) -> LocalFile | None:
    try:
        with path.open(encoding="utf-8") as file:
            about = os.fstat(file.fileno())
            is_trusted = about.st_uid in (os.geteuid(), 0) or os.geteuid() == 0
            if not stat.S_ISREG(about.st_mode) or not is_trusted:
                return None
            values = dict(_assignments(file.read(MAX_FILE_BYTES)))
    except (OSError, UnicodeDecodeError):
        return None
    url, token = values.get("SSA_URL", "").rstrip("/"), values.get("SSA_TOKEN", "")
    try:
        is_local = is_loopback(url)
    except ValueError:
        return None
    return LocalFile(path, url, token) if is_local else None


def _assignments(text: str) -> Iterable[tuple[str, str]]:
    for line in text.splitlines():
        name, sign, value = line.strip().removeprefix("export ").partition("=")
        if sign and not name.startswith("#"):
            yield name.strip(), value.strip().strip("'\"")


def _first(*candidates: tuple[str, str]) -> tuple[str, str]:
    """The first value that is there, with the name of its source; two empty strings if none is."""
    return next(((value, source) for value, source in candidates if value), ("", ""))
