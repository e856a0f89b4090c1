"""The messages and tools of one request as the rules see them. There is no other state."""

import json
from dataclasses import dataclass
from typing import Any

from local_stack.demo_rules.tool_output import ToolOutput, read_tool_output

type Json = dict[str, Any]

RECENT = 3  # texts


@dataclass(frozen=True)
class Call:
    name: str
    arguments: Json
    id: str = ""


@dataclass(frozen=True)
class Message:
    role: str
    text: str
    calls: tuple[Call, ...] = ()
    call_id: str = ""


@dataclass(frozen=True)
class Tool:
    """`parameters`: the names it takes; `agents`: the values of its parameter `agent`, if it lists them."""

    name: str
    parameters: frozenset[str] | None = None
    agents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    call: Call
    output: ToolOutput
    at: int


@dataclass(frozen=True)
class Reply:
    """A text, or tools to call before there can be one."""

    text: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Conversation:
    messages: tuple[Message, ...]
    tools: dict[str, Tool]

    @property
    def asked_at(self) -> int:
        """The place of the person's last message; -1 when there is none."""
        return next((at for at in reversed(range(len(self.messages))) if self.messages[at].role == "user"), -1)

    @property
    def instructions(self) -> str:
        return "\n\n".join(message.text for message in self.messages if message.role in ("system", "developer"))

    @property
    def question(self) -> str:
        return self.messages[self.asked_at].text.strip() if self.asked_at >= 0 else ""

    @property
    def last_said(self) -> str:
        """The last text of the assistant before the person's last message."""
        return self._said[-1] if self._said else ""

    @property
    def recently_said(self) -> list[str]:
        """The last texts of the assistant before the person's last message."""
        return self._said[-RECENT:]

    @property
    def _said(self) -> list[str]:
        before = self.messages[: max(self.asked_at, 0)]
        return [message.text for message in before if message.role == "assistant" and message.text.strip()]

    @property
    def calls_of_turn(self) -> list[Call]:
        """The tools called since the person's last message."""
        return [call for message in self.messages[self.asked_at + 1 :] for call in message.calls]

    def results(self, tool: str, *, this_turn: bool = False) -> list[Result]:
        """What the tool answered, oldest first."""
        since = self.asked_at if this_turn else -1
        calls = {call.id: call for message in self.messages for call in message.calls if call.name == tool}
        return [
            Result(calls[message.call_id], read_tool_output(message.text), at)
            for at, message in enumerate(self.messages)
            if at > since and message.role == "tool" and message.call_id in calls
        ]

    def ends_with_result_of(self, tool: str) -> Result | None:
        results = self.results(tool)
        is_last = bool(results) and results[-1].at == len(self.messages) - 1
        return results[-1] if is_last else None


def read_conversation(messages: list[Any], tools: list[Any]) -> Conversation:
    """Take what can be understood, leave out the rest: a strange history never fails."""
    return Conversation(
        tuple(_message(message) for message in messages if isinstance(message, dict)),
        {tool.name: tool for tool in map(_tool, tools) if tool is not None},
    )


def _message(raw: Json) -> Message:
    calls = raw.get("tool_calls")
    return Message(
        role=str(raw.get("role", "")),
        text=text_of(raw.get("content")),
        calls=tuple(call for call in map(_call, calls if isinstance(calls, list) else []) if call is not None),
        call_id=str(raw.get("tool_call_id") or ""),
    )


def text_of(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "\n".join(part for part in parts if isinstance(part, str))


def _call(raw: Any) -> Call | None:
    function = raw.get("function") if isinstance(raw, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    return Call(function["name"], _arguments(function.get("arguments")), str(raw.get("id") or ""))


def _arguments(raw: Any) -> Json:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            return {}
    return raw if isinstance(raw, dict) else {}


def _tool(raw: Any) -> Tool | None:
    function = raw.get("function") if isinstance(raw, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    parameters = function.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if not isinstance(properties, dict):
        return Tool(function["name"])
    agent = properties.get("agent")
    agents = agent.get("enum") if isinstance(agent, dict) else None
    names = tuple(name for name in agents if isinstance(name, str)) if isinstance(agents, list) else ()
    return Tool(function["name"], frozenset(properties), names)
