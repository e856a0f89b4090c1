"""What happened in a run so far. Everything is built from its steps, so a run that is taken up again is where it was."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from shared_models.schemas import ToolUse, Usage

from agent_service.domain.agents import TRANSFER_TOOL
from agent_service.domain.ports import Item, ModelReply, Passage, ToolCall

MODEL = "model"
TOOL = "tool"
MAX_TEXT_CHARS = 100_000
"""Of one reply: whatever it holds, it goes into an event of 1 MiB with all that stands beside it."""
MAX_NAME_CHARS = 200


@dataclass(frozen=True)
class Step:
    """One row of `run_steps`: a model turn or a tool call, before (intent) or after (result) it happened.

    `data` of a model result: text, calls [[name, arguments JSON]], in, out, cut. Of a tool intent: name, server,
    arguments, intent (a confirmation's id). Of a tool result: name, server, output, outcome (of ToolUse), ms, and where
    there are any: arguments, agent (transferred to), passages."""

    n: int
    kind: str
    is_result: bool
    data: dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A tool call without a result. With `saved` its intent is durable: repeat it exactly so, the model is not asked again."""

    n: int
    name: str
    arguments_json: str
    saved: dict[str, Any] | None = None


@dataclass
class Turn:
    """`key` makes call ids unique; `agent` is the name of the agent at work. `text`: the final answer, once there is one."""

    key: str
    agent: str
    items: list[Item] = field(default_factory=list)
    waiting: dict[int, Call] = field(default_factory=dict)
    text: str | None = None
    is_cut_off: bool = False
    usage: Usage = field(default_factory=Usage)
    tools: list[ToolUse] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    tool_calls: int = 0
    transfers: int = 0
    rejected: int = 0
    asked: set[int] = field(default_factory=set)
    last_n: int = 0

    def replay(self, steps: Iterable[Step]) -> None:
        """`steps` in the order of (n, intent before result)."""
        for step in steps:
            match step.kind, step.is_result:
                case "model", False:
                    self.asked.add(step.n)
                case "model", True:
                    self.model_replied(step)
                case "tool", False:
                    self.tool_intended(step)
                case _:
                    self.tool_answered(step)

    def model_replied(self, step: Step) -> None:
        data = step.data
        self.usage = Usage(
            model_calls=self.usage.model_calls + 1,
            input_tokens=self.usage.input_tokens + data["in"],
            output_tokens=self.usage.output_tokens + data["out"],
        )
        self.last_n = step.n + len(data["calls"])
        for n, (name, arguments_json) in enumerate(data["calls"], step.n + 1):
            self.waiting[n] = Call(n, name, arguments_json)
        if not data["calls"]:
            self.text, self.is_cut_off = data["text"], data["cut"]
        elif data["text"]:
            self.items.append(message("assistant", data["text"]))

    def tool_intended(self, step: Step) -> None:
        data = step.data
        self.waiting[step.n] = Call(step.n, data["name"], orjson.dumps(data["arguments"]).decode(), data)
        self.last_n = max(self.last_n, step.n)

    def tool_answered(self, step: Step) -> None:
        data = step.data
        call = self.waiting.pop(step.n, None)
        arguments = call.arguments_json if call else orjson.dumps(data.get("arguments", {})).decode()
        call_id = f"call_{self.key}_{step.n}"
        self.items += [
            {"type": "function_call", "call_id": call_id, "name": data["name"], "arguments": arguments},
            {"type": "function_call_output", "call_id": call_id, "output": data["output"]},
        ]
        self.last_n = max(self.last_n, step.n)
        self.tool_calls += 1
        self.rejected += data["outcome"] == "rejected"
        if call and call.saved and call.saved.get("intent"):
            self.outcomes[call.saved["intent"]] = data["output"]
        if data.get("agent"):
            self.agent = data["agent"]
            self.transfers += 1
        self.passages += [Passage(*passage) for passage in data.get("passages", ())]
        if data["name"] != TRANSFER_TOOL:
            self.tools.append(
                ToolUse(name=data["name"], server=data["server"], outcome=data["outcome"], duration_ms=data["ms"])
            )


def message(role: str, text: str) -> Item:
    return {"type": "message", "role": role, "content": text}


def model_result(n: int, reply: ModelReply) -> Step:
    """The step of a model's reply. The call ids of the model are dropped: it mints them anew, ours come from the step."""
    calls = [[clean(call.name)[:MAX_NAME_CHARS], arguments_text(call)] for call in reply.tool_calls]
    data = {
        "text": clean(reply.text)[:MAX_TEXT_CHARS],
        "calls": calls,
        "in": reply.input_tokens,
        "out": reply.output_tokens,
        "cut": reply.is_cut_off or len(reply.text) > MAX_TEXT_CHARS,
    }
    return Step(n, MODEL, is_result=True, data=data)


def arguments_text(call: ToolCall) -> str:
    return clean(call.arguments_json) or "{}"


def clean(text: str) -> str:
    """Without what a database or a JSON writer refuses: NUL, and halves of surrogate pairs."""
    if text.isascii():
        return text.replace("\x00", "")
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
