"""The tools that an agent sees, and how one call of the model is carried out."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from shared_models.logging import get_logger
from shared_models.schemas import NormalizedRequest
from shared_models.tokens import Identity

from agent_service.domain.agents import SEARCH_TOOL, TRANSFER_TOOL, AgentDefinition
from agent_service.domain.arguments import ArgumentsInvalid, read_arguments
from agent_service.domain.context import shorten
from agent_service.domain.ports import FunctionTool, Passage, ToolSpec
from agent_service.domain.turn import TOOL, Call, Step, Turn, clean
from agent_service.errors import ToolServerUnavailable
from agent_service.outside import Outside

MAX_TRANSFERS = 3
PASSAGES = 5
GUARDED_RETRY_S = 0.5

log = get_logger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A checked call. `result`: known already, nothing is to be run (refused, or a transfer). Else `intent` is saved first,
    then `run` makes the result. `is_shared`: may run beside others."""

    result: Step | None = None
    intent: Step | None = None
    run: Callable[[], Awaitable[Step]] | None = None
    is_shared: bool = False


class Toolbox:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def functions(self, agent: AgentDefinition, barred: set[str]) -> list[FunctionTool]:
        """The agent's tools as the model is shown them. Raises ToolServerUnavailable."""
        found = await self._specs(agent)
        shown = [function(spec) for name, spec in found.items() if name not in barred]
        if agent.knowledge_bases:
            shown.append(SEARCH_FUNCTION)
        if agent.handoffs:
            shown.append(self._transfer_function(agent))
        return shown

    async def spec(self, agent: AgentDefinition, tool: str) -> ToolSpec | None:
        """None: the agent has no such tool. Raises ToolServerUnavailable."""
        return (await self._specs(agent)).get(tool)

    async def prepare(self, agent: AgentDefinition, call: Call, turn: Turn, request: NormalizedRequest) -> Prepared:
        """Check a call and say how to carry it out. Raises ToolServerUnavailable when the server's tools are not known."""
        if call.saved is not None:
            return self._again(agent, call, request)
        try:
            if call.name == TRANSFER_TOOL and agent.handoffs:
                return Prepared(result=self._transfer(agent, call, turn))
            schema = await self._schema(agent, call.name)
            arguments = read_arguments(call.arguments_json, schema)
        except ArgumentsInvalid as exc:
            return Prepared(result=rejected(call, str(exc)))
        server = agent.server_of(call.name) or ""
        return await self._runnable(agent, call, server, arguments, request)

    async def _schema(self, agent: AgentDefinition, tool: str) -> dict[str, Any]:
        if tool == SEARCH_TOOL and agent.knowledge_bases:
            return dict(SEARCH_FUNCTION["parameters"])
        spec = await self.spec(agent, tool)
        if spec is None:
            raise ArgumentsInvalid(f"There is no tool called '{tool[:100]}'.")
        return dict(spec.parameters)

    async def _runnable(
        self,
        agent: AgentDefinition,
        call: Call,
        server: str,
        arguments: dict[str, Any],
        request: NormalizedRequest,
    ) -> Prepared:
        intent = intent_step(call.n, call.name, server, arguments)
        if not server:
            return Prepared(intent=intent, run=lambda: self._search(agent, call, arguments), is_shared=True)
        spec = await self.spec(agent, call.name)
        return Prepared(
            intent=intent,
            run=lambda: self._call(agent, call, intent.data, request),
            is_shared=spec is not None and spec.is_read_only,
        )

    def _again(self, agent: AgentDefinition, call: Call, request: NormalizedRequest) -> Prepared:
        """The saved call, exactly as it was; its intent stands already."""
        saved = call.saved or {}
        if saved["server"]:
            return Prepared(run=lambda: self._call(agent, call, saved, request))
        return Prepared(run=lambda: self._search(agent, call, saved["arguments"]))

    async def _call(
        self, agent: AgentDefinition, call: Call, intent: dict[str, Any], request: NormalizedRequest
    ) -> Step:
        """Raises ToolServerUnavailable, ToolTimeout."""
        person = request.person
        identity = Identity(
            person.user_id, person.email, person.name, request.request_id, call.name, intent.get("intent", "")
        )
        server, arguments = intent["server"], intent["arguments"]
        started = time.perf_counter()
        limits = agent.limits
        try:
            result = await self._outside.tools.call(server, call.name, arguments, identity, limits.tool_call_s)
        except ToolServerUnavailable:
            if not identity.intent:
                raise
            # What is guarded by an intent happens once, however often it is asked for.
            await asyncio.sleep(GUARDED_RETRY_S)
            result = await self._outside.tools.call(server, call.name, arguments, identity, limits.tool_call_s)
        text = shorten(clean(result.text), limits.tool_output_chars)
        return result_step(
            call,
            server,
            f"Error: {text}" if result.is_error else text,
            outcome="error" if result.is_error else "ok",
            ms=round((time.perf_counter() - started) * 1000),
        )

    async def _search(self, agent: AgentDefinition, call: Call, arguments: dict[str, Any]) -> Step:
        """Raises KnowledgeUnavailable."""
        started = time.perf_counter()
        found = await self._outside.knowledge.search(agent.knowledge_bases, str(arguments["query"]), PASSAGES)
        passages = [
            Passage(clean(each.document), clean(each.section), clean(each.text), round(each.score, 4)) for each in found
        ]
        results = [
            {"document": each.document, "section": each.section, "text": each.text, "score": each.score}
            for each in passages
        ]
        text = orjson.dumps({"results": results}).decode()
        step = result_step(
            call, "", shorten(text, agent.limits.tool_output_chars), ms=round((time.perf_counter() - started) * 1000)
        )
        kept = [[each.document, each.section, each.text, each.score] for each in passages]
        return Step(step.n, TOOL, is_result=True, data=step.data | {"passages": kept})

    def _transfer(self, agent: AgentDefinition, call: Call, turn: Turn) -> Step:
        arguments = read_arguments(call.arguments_json, self._transfer_function(agent)["parameters"])
        if turn.transfers >= MAX_TRANSFERS:
            raise ArgumentsInvalid("The person was passed on too often. Answer yourself now.")
        step = result_step(call, "", orjson.dumps({"agent": arguments["agent"]}).decode())
        return Step(step.n, TOOL, is_result=True, data=step.data | {"agent": arguments["agent"]})

    def _transfer_function(self, agent: AgentDefinition) -> FunctionTool:
        others = [other for name in agent.handoffs if (other := self._outside.agents.get(name)) is not None]
        about = "\n".join(f"- {other.name}: {other.description}" for other in others)
        return {
            "type": "function",
            "name": TRANSFER_TOOL,
            "description": f"Pass the person on to another agent, who answers at once and from then on:\n{about}",
            "parameters": {
                "type": "object",
                "properties": {"agent": {"type": "string", "enum": [other.name for other in others]}},
                "required": ["agent"],
                "additionalProperties": False,
            },
        }

    async def _specs(self, agent: AgentDefinition) -> dict[str, ToolSpec]:
        """The tools that the agent may use and that its servers have."""
        found: dict[str, ToolSpec] = {}
        for server, allowed in agent.tools.items():
            specs = {spec.name: spec for spec in await self._outside.tools.specs(server)}
            missing = [name for name in allowed if name not in specs]
            if missing:
                log.warning("tools_missing", agent=agent.name, server=server, tools=missing)
            found |= {name: specs[name] for name in allowed if name in specs}
        return found


SEARCH_FUNCTION: FunctionTool = {
    "type": "function",
    "name": SEARCH_TOOL,
    "description": "Search the company's documents. Name document and section of what you use as [document, section].",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "what to look for, in a few words"}},
        "required": ["query"],
        "additionalProperties": False,
    },
}


def function(spec: ToolSpec) -> FunctionTool:
    return {
        "type": "function",
        "name": spec.name,
        "description": spec.description,
        "parameters": dict(spec.parameters),
    }


def intent_step(n: int, tool: str, server: str, arguments: dict[str, Any], intent: str = "") -> Step:
    """What is about to be called. `intent`: the confirmation under which it may act."""
    data: dict[str, Any] = {"name": tool, "server": server, "arguments": arguments}
    return Step(n, TOOL, is_result=False, data=data | {"intent": intent} if intent else data)


def result_step(call: Call, server: str, output: str, *, outcome: str = "ok", ms: int = 0) -> Step:
    data = {"name": call.name, "server": server, "output": output, "outcome": outcome, "ms": ms}
    return Step(call.n, TOOL, is_result=True, data=data)


def rejected(call: Call, why: str) -> Step:
    """The call is not carried out; the model is told why."""
    return result_step(call, "", f"Error: {why}", outcome="rejected")


def batches(prepared: Sequence[Prepared]) -> list[list[Prepared]]:
    """What may run at the same time: neighbours that only read; everything else alone, in the order of the model."""
    groups: list[list[Prepared]] = []
    for each in prepared:
        if groups and each.is_shared and groups[-1][-1].is_shared:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups
