"""What an AI agent is: its instructions, tools, knowledge and limits. Read from YAML by `agent_files.py`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from shared_models.schemas import AgentRef, AgentView

ENTRY_AGENT = "routing-agent"
TRANSFER_TOOL = "transfer_to_agent"
SEARCH_TOOL = "search_knowledge"
BUILT_IN_TOOLS = (TRANSFER_TOOL, SEARCH_TOOL)

MAX_SHOWN_VALUE = 300
NOT_GIVEN = "(not given)"
MARKUP = frozenset("`*[]<>|\\")

type ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class AgentLimits(BaseModel):
    """Where a turn stops. `context_tokens`: what the model is given at most, instructions included."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model_calls: int = Field(default=8, ge=1, le=50)
    tool_calls: int = Field(default=8, ge=0, le=100)
    turn_s: float = Field(default=60, gt=0, le=600)
    model_call_s: float = Field(default=45, gt=0, le=600)
    tool_call_s: float = Field(default=20, gt=0, le=300)
    context_tokens: int = Field(default=16_000, ge=1_000)
    output_tokens: int = Field(default=1_500, ge=16)
    tool_output_chars: int = Field(default=12_000, ge=500)


class Sampling(BaseModel):
    """Sent to the model as it is; what is not named is left to the model server."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)

    def given(self) -> dict[str, float | int]:
        return self.model_dump(exclude_none=True)


@dataclass(frozen=True)
class AgentDefinition:
    """One agent. `tools`: allow-list per MCP server. `confirm`: tool → its effect in plain words, with {argument} places.

    `version` is a hash of the file: another text is another version."""

    name: str
    version: str
    description: str
    model: str
    instructions: str
    sampling: Sampling = field(default_factory=Sampling)
    tools: Mapping[str, Sequence[str]] = field(default_factory=dict)
    knowledge_bases: Sequence[str] = ()
    handoffs: Sequence[str] = ()
    confirm: Mapping[str, str] = field(default_factory=dict)
    limits: AgentLimits = field(default_factory=AgentLimits)

    @property
    def ref(self) -> AgentRef:
        return AgentRef(name=self.name, version=self.version)

    @property
    def tool_names(self) -> list[str]:
        return [tool for names in self.tools.values() for tool in names]

    def server_of(self, tool: str) -> str | None:
        """The MCP server that has this tool; None when this agent may not use it."""
        return next((server for server, names in self.tools.items() if tool in names), None)

    def needs_confirmation(self, tool: str) -> bool:
        return tool in self.confirm

    def effect_of(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """What this call would do, in words for the person. The values are the model's: shown on one line, cut."""
        parts = Formatter().parse(self.confirm[tool])
        return "".join(text + (shown(arguments.get(name)) if name else "") for text, name, _, _ in parts)

    def view(self) -> AgentView:
        return AgentView(
            name=self.name,
            version=self.version,
            description=self.description,
            model=self.model,
            tools=self.tool_names,
            knowledge_bases=list(self.knowledge_bases),
            handoffs=list(self.handoffs),
        )


class AgentCatalogue:
    """All agents of this installation, by name."""

    def __init__(self, agents: Sequence[AgentDefinition]) -> None:
        self._agents = {agent.name: agent for agent in agents}

    @property
    def entry(self) -> AgentDefinition:
        """The agent that a new session begins with."""
        return self._agents[ENTRY_AGENT]

    def get(self, name: str) -> AgentDefinition | None:
        """None: there is no such agent (any more)."""
        return self._agents.get(name)

    def __iter__(self) -> Iterator[AgentDefinition]:
        return iter(self._agents.values())

    def __len__(self) -> int:
        return len(self._agents)


def shown(value: object) -> str:
    """A value of the model on one line, without control characters and without the marks that make Markdown links."""
    if value is None or value == "":
        return NOT_GIVEN
    text = "".join(char if char.isprintable() else " " for char in str(value) if char not in MARKUP)
    text = " ".join(text.split()) or NOT_GIVEN
    return text if len(text) <= MAX_SHOWN_VALUE else text[:MAX_SHOWN_VALUE] + "…"


def effect_problem(template: str) -> str:
    """Why this is no effect template; empty when it is one. A place is {argument}, nothing more."""
    try:
        places = list(Formatter().parse(template))
    except ValueError as exc:
        return str(exc)
    for _, name, spec, conversion in places:
        if name is not None and (not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or spec or conversion):
            return f"'{{{name}}}' is no name of an argument"
    return ""
