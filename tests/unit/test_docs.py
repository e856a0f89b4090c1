"""What the pages name is there: other pages and their headings, commands of make, programs, tables."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from shared_models.tables import agent_service, engine, integration_dispatcher, knowledge, request_manager, sms
from shared_models.tables.base import Base

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "helm/README.md",
    ROOT / "local-stack/README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
SOURCES = [*ROOT.glob("*/src"), *ROOT.glob("mcp-servers/*/src"), ROOT]
OWNERS: dict[str, list[ModuleType]] = {
    "request-manager": [request_manager],
    "agent-service": [agent_service, knowledge],
    "integration-dispatcher": [integration_dispatcher, sms],
    "each its own rows": [engine],
}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def headings(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    for address, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        if "://" not in address:
            yield (page.parent / address if address else page), anchor


@each_page
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in headings(target), f"{target}#{anchor}"


@each_page
def test_commands_and_programs_are_there(page: Path) -> None:
    text, makefile = page.read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"`make ([a-z-]+)", text):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command
    for program in re.findall(r"`python -m ([\w.]+)", text):
        files = (f"{program.replace('.', '/')}{ending}" for ending in (".py", "/__main__.py"))
        assert any((source / file).is_file() for file in files for source in SOURCES), program


@pytest.mark.parametrize("owner", OWNERS)
def test_every_table_stands_at_its_one_writer(owner: str) -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith(f"| {owner} | `") and line.count("|") == 3]
    modules = {module.__name__ for module in OWNERS[owner]}
    tables = {mapper.local_table.description for mapper in Base.registry.mappers if mapper.class_.__module__ in modules}
    assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == tables
