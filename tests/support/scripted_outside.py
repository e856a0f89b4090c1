"""What agent-service asks outside of itself, by script: model, tools, knowledge, the model server's conversations."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from agent_service.domain.ports import Item, ModelCall, ModelReply, Passage, ToolCall, ToolResult, ToolSpec
from agent_service.errors import ConversationLost, ToolServerUnavailable
from shared_models.schemas import (
    KnowledgeBaseView,
)
from shared_models.tokens import Identity

type Json = dict[str, Any]
type Scripted = ModelReply | Exception | BreaksOff | Callable[[ModelCall], ModelReply]


def says(text: str, **more: Any) -> ModelReply:
    return ModelReply(text, input_tokens=10, output_tokens=5, **more)


def calls(*pairs: tuple[str, Any], text: str = "") -> ModelReply:
    """Tool calls; arguments as a dict, or as the raw text that a model may send."""
    made = [
        ToolCall(f"call_{at}", name, given if isinstance(given, str) else orjson.dumps(given).decode())
        for at, (name, given) in enumerate(pairs)
    ]
    return ModelReply(text, made, input_tokens=10, output_tokens=5)


@dataclass(frozen=True)
class BreaksOff:
    """Some text, if it is streamed, and then an error."""

    text: str
    error: Exception


@dataclass
class ScriptedModel:
    """Replies from `script`, then `always`. `hold` makes every call wait, or only the call number `at`."""

    script: deque[Scripted] = field(default_factory=deque)
    always: Scripted = field(default_factory=lambda: says("Hello from the model."))
    seen: list[ModelCall] = field(default_factory=list)
    gate: asyncio.Event | None = None
    held_at: int = 0

    def will(self, *replies: Scripted) -> None:
        self.script.extend(replies)

    def hold(self, at: int = 0) -> None:
        self.gate, self.held_at = asyncio.Event(), at

    def release(self) -> None:
        if self.gate is not None:
            self.gate.set()
            self.gate = None

    async def respond(self, call: ModelCall) -> ModelReply:
        self.seen.append(call)
        if self.gate is not None and self.held_at in (0, len(self.seen)):
            await self.gate.wait()
        reply = self.script.popleft() if self.script else self.always
        if isinstance(reply, Exception):
            raise reply
        if callable(reply):
            reply = reply(call)
        if call.on_delta is not None:
            for word in reply.text.split(" "):
                await call.on_delta(word + " ")
        if isinstance(reply, BreaksOff):
            raise reply.error
        return reply


@dataclass(frozen=True)
class Called:
    server: str
    tool: str
    arguments: Json
    identity: Identity


def tool(name: str, *required: str, optional: Sequence[str] = (), is_read_only: bool = True) -> ToolSpec:
    properties = {each: {"type": "string"} for each in (*required, *optional)}
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name, f"The tool {name}.", schema, is_read_only)


TOOLS = (
    tool("find_my_laptops"),
    tool("check_laptop_eligibility", optional=["serial_number"]),
    tool("open_laptop_refresh_ticket", "laptop_code", optional=["business_justification"], is_read_only=False),
    tool("note_something", "text", is_read_only=False),
)


@dataclass
class ScriptedTools:
    """`answers`: tool → text, an Exception to raise, or a function of the arguments. `is_down`: the server is away;
    `is_away_times`: so often only."""

    answers: dict[str, Any] = field(default_factory=dict)
    called: list[Called] = field(default_factory=list)
    is_down: bool = False
    is_away_times: int = 0
    gate: asyncio.Event | None = None
    at_once: int = 0
    most_at_once: int = 0

    async def specs(self, server: str) -> list[ToolSpec]:
        self.is_away_times, was_away = max(0, self.is_away_times - 1), self.is_away_times > 0
        if self.is_down or was_away:
            raise ToolServerUnavailable(f"{server}: connection refused")
        return list(TOOLS)

    async def call(self, server: str, tool: str, arguments: Json, identity: Identity, timeout_s: float) -> ToolResult:
        self.called.append(Called(server, tool, arguments, identity))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
            answer = self.answers.get(tool, "{}")
            if isinstance(answer, Exception):
                raise answer
            answer = answer(arguments) if callable(answer) else answer
            return answer if isinstance(answer, ToolResult) else ToolResult(answer)
        finally:
            self.at_once -= 1

    @property
    def names(self) -> list[str]:
        return [each.tool for each in self.called]


@dataclass
class ScriptedKnowledge:
    passages: list[Passage] = field(default_factory=list)
    asked: list[tuple[list[str], str]] = field(default_factory=list)
    failure: Exception | None = None

    async def search(self, bases: Sequence[str], query: str, limit: int) -> list[Passage]:
        self.asked.append((list(bases), query))
        if self.failure is not None:
            raise self.failure
        return self.passages[:limit]

    async def list_bases(self) -> list[KnowledgeBaseView]:
        return [KnowledgeBaseView(name="it-help", documents=1, chunks=2, model="m")]


@dataclass
class ServerCopies:
    """The model server's conversations. `failure` is raised by every call."""

    held: dict[str, list[Item]] = field(default_factory=dict)
    failure: Exception | None = None

    async def create(self, items: Sequence[Item]) -> str:
        if self.failure is not None:
            raise self.failure
        conversation_id = f"conv_{len(self.held)}"
        self.held[conversation_id] = list(items)
        return conversation_id

    async def append(self, conversation_id: str, items: Sequence[Item]) -> None:
        if self.failure is not None:
            raise self.failure
        if conversation_id not in self.held:
            raise ConversationLost
        self.held[conversation_id] += items
