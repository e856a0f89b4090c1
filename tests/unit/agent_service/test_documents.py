"""Files of the knowledge folder: what is read, what is refused, and why."""

import os
from pathlib import Path

import pytest
from agent_service.documents import Unreadable, find_files, knowledge_bases, read_bytes, read_document
from agent_service.domain.chunks import Chunk
from agent_service.pdf_text import PdfUnreadable, read_pdf

from tests.support.embeddings import small_pdf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "knowledge" / "it-help").mkdir(parents=True)
    return tmp_path / "knowledge"


async def chunks_of(folder: Path, name: str, content: bytes) -> tuple[str, list[Chunk]]:
    (folder / "it-help" / name).write_bytes(content)
    files, problems = find_files(folder)
    assert problems == []
    [found] = [found for found in files if found.path == name]
    raw, _ = read_bytes(found)
    document = await read_document(found, raw)
    return document.title, document.chunks


def problem_of(folder: Path) -> str:
    files, problems = find_files(folder)
    assert files == []
    [problem] = problems
    return f"{problem.where}: {problem.what}"


async def test_markdown_text_and_pdf_are_read(folder: Path) -> None:
    assert await chunks_of(folder, "vpn.md", b"# VPN\n\n## Connect\n\nOpen it.\n") == (
        "VPN",
        [Chunk("Connect", "Open it.")],
    )
    assert await chunks_of(folder, "home-wifi_guide.TXT", "\ufeffNa\u00efve\r\ntext\r\n".encode()) == (
        "home wifi guide",
        [Chunk("", "Naïve\ntext")],
    )
    title, chunks = await chunks_of(folder, "guide.pdf", small_pdf("First page", "Second page", title="The guide"))
    assert title == "The guide"
    assert chunks == [Chunk("page 1", "First page"), Chunk("page 2", "Second page")]


def test_subfolders_belong_to_their_base_and_hidden_files_to_nobody(folder: Path) -> None:
    (folder / "it-help" / "deep" / "er").mkdir(parents=True)
    (folder / "it-help" / "deep" / "er" / "a.md").write_text("a")
    (folder / "it-help" / ".git").mkdir()
    (folder / "it-help" / ".git" / "b.md").write_text("b")
    (folder / "it-help" / ".hidden.md").write_text("c")
    (folder / "readme.md").write_text("a file beside the bases")
    files, problems = find_files(folder)
    assert [found.path for found in files] == ["deep/er/a.md"]
    assert problems == []
    assert knowledge_bases(folder) == {"it-help"}


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    (folder / "it-help" / "link.txt").symlink_to(secret)
    assert problem_of(folder) == "it-help/link.txt: it is a link out of the knowledge folder"


def test_a_linked_folder_is_not_entered(folder: Path) -> None:
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "secret.txt").write_text("secret")
    (folder / "it-help" / "link").symlink_to(folder.parent / "other")
    assert problem_of(folder) == "it-help/link: it is a link to a folder"


def test_a_linked_base_is_not_read(folder: Path) -> None:
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "secret.txt").write_text("secret")
    (folder / "linked").symlink_to(folder.parent / "other")
    assert problem_of(folder) == "linked/secret.txt: it is a link out of the knowledge folder"


def test_a_mounted_volume_links_its_files_and_they_are_read(folder: Path) -> None:
    (folder / "it-help" / "..2026_01").mkdir()
    (folder / "it-help" / "..2026_01" / "vpn.md").write_text("text")
    (folder / "it-help" / "..data").symlink_to("..2026_01")
    (folder / "it-help" / "vpn.md").symlink_to("..data/vpn.md")
    files, problems = find_files(folder)
    assert ([found.path for found in files], problems) == (["vpn.md"], [])


def test_what_is_no_plain_file_is_never_opened(folder: Path) -> None:
    os.mkfifo(folder / "it-help" / "pipe.txt")
    assert problem_of(folder) == "it-help/pipe.txt: it is no plain file"


@pytest.mark.parametrize("target", ["nowhere.txt", "loop.txt"])
def test_a_link_to_nothing_is_named(folder: Path, target: str) -> None:
    (folder / "it-help" / "loop.txt").symlink_to(target)
    assert problem_of(folder) == "it-help/loop.txt: the link leads nowhere"


def test_a_file_of_another_kind_or_size_is_named(folder: Path) -> None:
    path = folder / "it-help" / "picture.png"
    path.write_bytes(b"png")
    assert problem_of(folder) == "it-help/picture.png: only .md, .pdf, .txt can be read"
    path.unlink()
    with (folder / "it-help" / "big.txt").open("wb") as big:
        big.truncate(21 * 1024 * 1024)
    assert problem_of(folder) == "it-help/big.txt: it is larger than 20 MiB"


def test_a_folder_with_an_odd_name_is_named(folder: Path) -> None:
    (folder / "It Help!").mkdir()
    assert problem_of(folder).startswith("It Help!: is no name of a knowledge base")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"\xff\xfeh\x00i\x00", "no text in UTF-8"),
        ("a.txt", b"a\x00b", "binary data"),
        ("a.txt", b" \n\n ", "holds no text"),
        ("a.md", b"# Only a title", "holds no text"),
        ("a.pdf", b"%PDF-1.4 and nothing more", "no readable PDF"),
        ("a.pdf", b"", "no readable PDF"),
        ("a.pdf", small_pdf(""), "holds no text (a scan?)"),
        ("a.txt", (b"word " * 200 + b"\n\n") * 5_500, "too long"),
    ],
)
async def test_a_file_that_cannot_be_used_says_why(folder: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(Unreadable, match=said.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")):
        await chunks_of(folder, name, content)


async def test_reading_a_pdf_has_a_time_limit() -> None:
    with pytest.raises(PdfUnreadable, match="takes longer"):
        await read_pdf(small_pdf("Hello"), timeout_s=0.001)
