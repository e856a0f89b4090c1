"""The text of a PDF, page by page: `python -m agent_service.pdf_text < file.pdf` writes JSON.

A process of its own, because a hostile or broken PDF can take any time and memory, and the reader takes 50 MB."""

import asyncio
import io
import json
import logging
import os
import resource
import sys
from asyncio.subprocess import PIPE

MAX_PAGES = 2_000
MAX_CHARS = 4_000_000
MAX_MEMORY_BYTES = 2 * 1024**3
TIMEOUT_S = 60.0


class PdfUnreadable(Exception):
    """Its text says why, in a few words."""


async def read_pdf(raw: bytes, *, timeout_s: float = TIMEOUT_S) -> tuple[str, list[str]]:
    """The title ("" when it has none) and the text of each page. Raises PdfUnreadable."""
    bare = {"PYTHONPATH": os.pathsep.join(sys.path)}  # nothing of our own environment, which holds secrets
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent_service.pdf_text", stdin=PIPE, stdout=PIPE, stderr=PIPE, env=bare
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(raw)
    except TimeoutError as exc:
        raise PdfUnreadable(f"reading it takes longer than {timeout_s:g} s") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = err.decode("utf-8", "replace").strip().splitlines()
        raise PdfUnreadable(words[-1][:200] if words else f"the reader ended with {process.returncode}")
    found = json.loads(out)
    return str(found["title"]), [str(page) for page in found["pages"]]


def extract(raw: bytes) -> dict[str, object]:
    """Raises PdfUnreadable, and whatever else a PDF can make its reader raise."""
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(raw))
    if reader.is_encrypted:
        raise PdfUnreadable("it is encrypted")
    if len(reader.pages) > MAX_PAGES:
        raise PdfUnreadable(f"it has more than {MAX_PAGES} pages")
    pages: list[str] = []
    size = 0
    for page in reader.pages:
        pages.append(page.extract_text())
        size += len(pages[-1])
        if size > MAX_CHARS:
            raise PdfUnreadable(f"it has more than {MAX_CHARS} characters")
    if not any(page.strip() for page in pages):
        raise PdfUnreadable("it holds no text (a scan?)")
    title = reader.metadata.title if reader.metadata else None
    return {"title": title if isinstance(title, str) else "", "pages": pages}


def main() -> int:
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CPU, (int(TIMEOUT_S), int(TIMEOUT_S)))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    try:
        found = extract(sys.stdin.buffer.read())
    except PdfUnreadable as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except Exception as exc:  # noqa: BLE001  # a file may break its reader in any way
        sys.stderr.write(f"it is no readable PDF ({type(exc).__name__})\n")
        return 1
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
