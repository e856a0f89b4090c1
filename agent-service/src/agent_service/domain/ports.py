"""What the turn loop needs from the outside: a model, tools, knowledge. Tests give it scripted ones.

Items and function tools have the shapes of the Responses API: a message `{"type": "message", "role": "user"|"assistant",
"content": text}`, `{"type": "function_call", "call_id", "name", "arguments"}`, `{"type": "function_call_output", "call_id",
"output"}`; a tool `{"type": "function", "name", "description", "parameters": JSON schema}`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared_models.schemas import KnowledgeBaseView
from shared_models.tokens import Identity

type Item = dict[str, Any]
type FunctionTool = dict[str, Any]
type OnDelta = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class ModelCall:
    """One call of the model. With `on_delta` it is streamed, and each piece of text is given to it as it comes."""

    agent: str
    model: str
    instructions: str
    input: Sequence[Item]
    tools: Sequence[FunctionTool] = ()
    sampling: Mapping[str, float | int] = field(default_factory=dict)
    max_output_tokens: int | None = None
    timeout_s: float = 60.0
    on_delta: OnDelta | None = None


@dataclass(frozen=True)
class ToolCall:
    """A tool call as the model wrote it: `arguments_json` may be anything."""

    call_id: str
    name: str
    arguments_json: str


@dataclass(frozen=True)
class ModelReply:
    """`is_cut_off`: the model reached its output limit, `text` is its beginning."""

    text: str
    tool_calls: Sequence[ToolCall] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    is_cut_off: bool = False


class Model(Protocol):
    async def respond(self, call: ModelCall) -> ModelReply:
        """Ask once, without retries.

        Raises ModelUnavailable, ModelTimeout, ModelRateLimited, ModelContextOverflow, ModelAuthFailed, ModelGarbage."""
        ...


class Conversations(Protocol):
    """The model server's own copy of a session's messages (LLAMA_STACK_SESSIONS=server). Ours stays the record."""

    async def create(self, items: Sequence[Item]) -> str:
        """Make a conversation that holds these messages (any number; send them in batches if need be); return its id.

        Raises ModelError."""
        ...

    async def append(self, conversation_id: str, items: Sequence[Item]) -> None:
        """Raises ConversationLost (unknown there), ModelError."""
        ...


@dataclass(frozen=True)
class ToolSpec:
    """A tool as its MCP server describes it. `parameters` is a JSON schema; `is_read_only` (a hint of the server) allows
    running it beside others."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    is_read_only: bool = False


@dataclass(frozen=True)
class ToolResult:
    """What a tool said. `is_error`: the tool itself refused or failed; `text` is then a sentence for the person."""

    text: str
    is_error: bool = False


class Tools(Protocol):
    async def specs(self, server: str) -> list[ToolSpec]:
        """The server's tools, cached and pinned by hash. Raises ToolServerUnavailable."""
        ...

    async def call(
        self, server: str, tool: str, arguments: dict[str, Any], identity: Identity, timeout_s: float
    ) -> ToolResult:
        """Call a tool once as `identity`. Raises ToolServerUnavailable, ToolTimeout."""
        ...


@dataclass(frozen=True)
class Passage:
    """A piece of a document that fits a query. `score`: higher is better."""

    document: str
    section: str
    text: str
    score: float


class Knowledge(Protocol):
    async def search(self, bases: Sequence[str], query: str, limit: int) -> list[Passage]:
        """The best passages of these knowledge bases, best first. Raises KnowledgeUnavailable."""
        ...

    async def list_bases(self) -> list[KnowledgeBaseView]: ...
