"""Reads the agents' YAML files. Whatever is wrong in them is refused at start, with file and line.

The keys are described in docs/adding-an-agent.md."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from shared_models.logging import get_logger

from agent_service.domain.agents import (
    BUILT_IN_TOOLS,
    ENTRY_AGENT,
    AgentCatalogue,
    AgentDefinition,
    AgentLimits,
    Sampling,
    ToolName,
    effect_problem,
)

AGENTS_FOLDER = Path(__file__).resolve().parents[2] / "agents"
"""Where the agents are in a checkout; `AGENTS_DIR` wins."""

MAX_FILE_BYTES = 256 * 1024
MAX_DEPTH = 6

log = get_logger(__name__)

type Place = tuple[str | int, ...]
type Construct = Callable[[yaml.Node], Any]
type Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class AgentFilesInvalid(ValueError):
    """One line per mistake: file, line, what is wrong."""


class AgentFile(BaseModel):
    """The keys of one file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    description: str = Field(min_length=1, max_length=1000)
    model: str = ""
    instructions: str = Field(min_length=1)
    sampling: Sampling = Field(default_factory=Sampling)
    tools: dict[str, Annotated[list[ToolName], Field(min_length=1)]] = Field(default_factory=dict)
    knowledge_bases: list[str] = Field(default_factory=list)
    handoffs: list[str] = Field(default_factory=list)
    confirm: dict[str, Annotated[str, Field(min_length=1, max_length=1000)]] = Field(default_factory=dict)
    limits: AgentLimits = Field(default_factory=AgentLimits)


@dataclass(frozen=True)
class Surroundings:
    """What the agents may name. `model` is used where a file names none. `off`: servers that are known but not there."""

    servers: frozenset[str]
    knowledge_bases: frozenset[str]
    model: str
    off: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Mistake:
    place: Place
    what: str


@dataclass(frozen=True)
class ReadFile:
    path: Path
    lines: Mapping[Place, int]
    content: AgentFile
    version: str

    def at(self, mistake: Mistake) -> str:
        return f"{self.path.name}:{line_of(self.lines, mistake.place)}: {mistake.what}"


def load_agents(folder: Path, around: Surroundings) -> AgentCatalogue:
    """All `*.yaml` of the folder but those that need a server that is off, and hand-overs to them.

    Raises AgentFilesInvalid, which names every mistake at once."""
    paths = sorted(path for path in folder.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    mistakes: list[str] = []
    files: list[ReadFile] = []
    for path in paths:
        try:
            files.append(read_agent_file(path))
        except AgentFilesInvalid as exc:
            mistakes += str(exc).splitlines()
    names = {file.content.name for file in files} | {path.stem for path in paths}
    for file in files:
        mistakes += [file.at(mistake) for mistake in cross_checks(file, names, around)]
    if ENTRY_AGENT not in names:
        mistakes.append(f"{folder}: there is no {ENTRY_AGENT}.yaml, with which every session begins")
    left_out = {file.content.name for file in files if around.off & set(file.content.tools)}
    if ENTRY_AGENT in left_out:
        mistakes.append(f"{ENTRY_AGENT}.yaml: it needs an MCP server that has no URL in MCP_SERVERS")
    if mistakes:
        raise AgentFilesInvalid("\n".join(mistakes))
    for name in sorted(left_out):
        log.warning("agent_left_out", agent=name, cause="an MCP server that it needs has no URL in MCP_SERVERS")
    kept = [file for file in files if file.content.name not in left_out]
    return AgentCatalogue([_definition(file, around.model, left_out) for file in kept])


def read_agent_file(path: Path) -> ReadFile:
    """One file, checked for itself. Raises AgentFilesInvalid."""
    raw = path.read_bytes()
    if len(raw) > MAX_FILE_BYTES:
        raise AgentFilesInvalid(f"{path.name}:1: larger than {MAX_FILE_BYTES} bytes")
    lines: dict[Place, int] = {}
    try:
        data = _with_lines(raw, lines)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise AgentFilesInvalid(f"{path.name}:{line}: {exc.problem or exc}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise AgentFilesInvalid(f"{path.name}:1: no YAML in UTF-8") from exc
    try:
        content = AgentFile.model_validate(data)
    except ValidationError as exc:
        found = [f"{path.name}:{line_of(lines, error['loc'])}: {_words(error)}" for error in exc.errors()]
        raise AgentFilesInvalid("\n".join(found)) from exc
    return ReadFile(path, lines, content, hashlib.sha256(raw).hexdigest()[:12])


def cross_checks(file: ReadFile, agents: set[str], around: Surroundings) -> Iterator[Mistake]:
    """What a file names must exist."""
    content = file.content
    if content.name != file.path.stem:
        yield Mistake(("name",), f"the agent '{content.name}' belongs into a file '{content.name}.yaml'")
    for server in content.tools:
        if server not in around.servers:
            known = ", ".join(sorted(around.servers)) or "none"
            yield Mistake(("tools", server), f"unknown MCP server '{server}' (MCP_SERVERS has: {known})")
    yield from _doubled_tools(content)
    for at, base in enumerate(content.knowledge_bases):
        if base not in around.knowledge_bases:
            known = ", ".join(sorted(around.knowledge_bases)) or "none"
            yield Mistake(("knowledge_bases", at), f"unknown knowledge base '{base}' (there are: {known})")
    for at, agent in enumerate(content.handoffs):
        if agent not in agents or agent == content.name:
            yield Mistake(("handoffs", at), f"no other agent is called '{agent}'")
    for tool, template in content.confirm.items():
        if tool not in _tools(content):
            yield Mistake(("confirm", tool), f"'{tool}' is not in tools, so there is nothing to confirm")
        if problem := effect_problem(template):
            yield Mistake(("confirm", tool), f"the effect cannot be read: {problem}")


def _doubled_tools(content: AgentFile) -> Iterator[Mistake]:
    """The model sees plain names: each must be there once."""
    seen = set(BUILT_IN_TOOLS)
    for server, tools in content.tools.items():
        for at, tool in enumerate(tools):
            if tool in seen:
                yield Mistake(("tools", server, at), f"there is another tool called '{tool}'")
            seen.add(tool)


def _tools(content: AgentFile) -> list[str]:
    return [tool for tools in content.tools.values() for tool in tools]


def _definition(file: ReadFile, default_model: str, left_out: set[str]) -> AgentDefinition:
    content = file.content
    return AgentDefinition(
        name=content.name,
        version=file.version,
        description=" ".join(content.description.split()),
        model=content.model or default_model,
        instructions=content.instructions.strip(),
        sampling=content.sampling,
        tools={server: tuple(tools) for server, tools in content.tools.items()},
        knowledge_bases=tuple(content.knowledge_bases),
        handoffs=tuple(agent for agent in content.handoffs if agent not in left_out),
        confirm=dict(content.confirm),
        limits=content.limits,
    )


def line_of(lines: Mapping[Place, int], place: Sequence[str | int]) -> int:
    """The line of the place, or of the nearest one around it: a missing key is reported where its parent begins."""
    for length in range(len(place), 0, -1):
        if tuple(place[:length]) in lines:
            return lines[tuple(place[:length])]
    return lines.get((), 1)


def _words(error: Any) -> str:
    """A Pydantic error as one phrase, without the value."""
    where = ".".join(str(part) for part in error["loc"] if part != "[key]")
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key '{where}'"
        case "missing":
            return f"the key '{where}' is missing"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"'{where or 'the file'}' must be a mapping of keys to values"
    return f"'{where}': {error['msg']}"


def _with_lines(raw: bytes, lines: dict[Place, int]) -> Any:
    """The document as Python values; `lines` gets the line of every key and list entry. Raises yaml.YAMLError."""
    loader = yaml.SafeLoader(raw)
    construct: Construct = loader.construct_object
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        lines[()] = node.start_mark.line + 1
        return _value(construct, node, (), lines)
    finally:
        loader.dispose()


def _value(construct: Construct, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    if len(place) > MAX_DEPTH:
        raise yaml.constructor.ConstructorError(None, None, "too deeply nested", node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _mapping(construct, node, place, lines)
    if not isinstance(node, yaml.SequenceNode):
        return construct(node)
    for at, child in enumerate(node.value):
        lines[(*place, at)] = child.start_mark.line + 1
    return [_value(construct, child, (*place, at), lines) for at, child in enumerate(node.value)]


def _mapping(construct: Construct, node: yaml.MappingNode, place: Place, lines: dict[Place, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = construct(key_node)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' is there twice", key_node.start_mark)
        lines[(*place, key)] = key_node.start_mark.line + 1
        found[key] = _value(construct, value_node, (*place, key), lines)
    return found
