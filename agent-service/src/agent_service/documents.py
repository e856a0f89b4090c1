"""The files of the knowledge bases: one folder per base, in it txt, md and pdf. What is not async blocks.

Nothing outside the folder is read, whatever links lie in it, and a file that cannot be read is named, not fatal."""

import asyncio
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent_service.domain.chunks import Chunk, Part, cut, markdown_parts
from agent_service.pdf_text import PdfUnreadable, read_pdf

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_CHUNKS = 5_000
MAX_TITLE_CHARS = 200
BASE_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


class Unreadable(Exception):
    """A file that cannot be used; its text says why, in words for an operator."""


@dataclass(frozen=True)
class Found:
    """A file to be ingested. `path` is relative to its base, with /; `real` is the file itself, links followed."""

    base: str
    path: str
    real: Path


@dataclass(frozen=True)
class Problem:
    """`where` is relative to the knowledge folder."""

    where: str
    what: str


@dataclass(frozen=True)
class Document:
    title: str
    chunks: list[Chunk]


def knowledge_bases(folder: Path) -> frozenset[str]:
    """The names that agents may use: those of the subfolders."""
    return frozenset(path.name for path in folder.iterdir() if path.is_dir() and BASE_NAME.match(path.name))


def find_files(folder: Path) -> tuple[list[Found], list[Problem]]:
    """All files of all bases, in the order of their names. Raises OSError when the folder itself cannot be read."""
    root = folder.resolve(strict=True)
    found: list[Found] = []
    problems: list[Problem] = []
    for base in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        if not base.is_dir():
            continue
        if not BASE_NAME.match(base.name):
            problems.append(Problem(base.name, "is no name of a knowledge base: use a-z, 0-9 and -"))
            continue
        for path in _files(base):
            where = path.relative_to(folder).as_posix()
            try:
                real = _allowed(path, root)
            except Unreadable as exc:
                problems.append(Problem(where, str(exc)))
            else:
                found.append(Found(base.name, path.relative_to(base).as_posix(), real))
    return found, problems


def _files(base: Path) -> Iterator[Path]:
    """Every entry that is no folder; hidden ones (and with them a mounted volume's own) are passed over."""
    for parent, folders, names in os.walk(base):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        yield from (Path(parent) / name for name in sorted([*names, *links]) if not name.startswith("."))


def _allowed(path: Path, root: Path) -> Path:
    """The file behind the path, if it may be read. Raises Unreadable."""
    if path.is_dir():
        raise Unreadable("it is a link to a folder")
    if path.suffix.lower() not in READABLE:
        raise Unreadable(f"only {', '.join(sorted(READABLE))} can be read")
    try:
        real = path.resolve(strict=True)
        about = real.stat()
    except (OSError, RuntimeError) as exc:
        raise Unreadable("the link leads nowhere" if path.is_symlink() else "it cannot be opened") from exc
    if not real.is_relative_to(root):
        raise Unreadable("it is a link out of the knowledge folder")
    if not stat.S_ISREG(about.st_mode):
        raise Unreadable("it is no plain file")
    if about.st_size > MAX_FILE_BYTES:
        raise Unreadable(f"it is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")
    return real


def read_bytes(found: Found) -> tuple[bytes, str]:
    """The content and its hash. Raises Unreadable."""
    try:
        with found.real.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise Unreadable(f"it cannot be opened ({exc.strerror})") from exc
    if len(raw) > MAX_FILE_BYTES:
        raise Unreadable(f"it is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")
    return raw, hashlib.sha256(raw).hexdigest()


async def read_document(found: Found, raw: bytes) -> Document:
    """The content cut into chunks. Raises Unreadable."""
    if Path(found.path).suffix.lower() == PDF:
        title, parts = await _pdf(raw)
    else:
        title, parts = TEXT_READERS[Path(found.path).suffix.lower()](raw)
    chunks = await asyncio.to_thread(cut, parts)
    if not chunks:
        raise Unreadable("it holds no text")
    if len(chunks) > MAX_CHUNKS:
        raise Unreadable(f"it is too long: {len(chunks)} passages, at most {MAX_CHUNKS}")
    named = " ".join(title.split()) or Path(found.path).stem.replace("-", " ").replace("_", " ")
    return Document(named[:MAX_TITLE_CHARS], chunks)


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise Unreadable("it is no text in UTF-8") from exc
    if "\x00" in text:
        raise Unreadable("it holds binary data")
    return text


def _markdown(raw: bytes) -> tuple[str, list[Part]]:
    return markdown_parts(_text(raw))


def _plain(raw: bytes) -> tuple[str, list[Part]]:
    return "", [Part("", "\n".join(_text(raw).splitlines()))]


async def _pdf(raw: bytes) -> tuple[str, list[Part]]:
    try:
        title, pages = await read_pdf(raw)
    except PdfUnreadable as exc:
        raise Unreadable(str(exc)) from exc
    clean = [page.replace("\x00", "").encode("utf-8", "replace").decode("utf-8") for page in pages]
    return title.replace("\x00", ""), [Part(f"page {n}", page) for n, page in enumerate(clean, 1)]


PDF = ".pdf"
TEXT_READERS: dict[str, Callable[[bytes], tuple[str, list[Part]]]] = {".md": _markdown, ".txt": _plain}
READABLE = frozenset({PDF, *TEXT_READERS})
