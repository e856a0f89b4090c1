"""Tools of MCP servers: each call with a token of its own for the person who asks, one POST per call.

The list of a server's tools is fetched now and then; what a tool looked like first is what it may look like: one that
changes its description or its arguments later is switched off until this process starts again."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import httpx
import orjson
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, PaginatedRequestParams, TextContent, Tool
from pydantic import ValidationError
from shared_models.logging import get_logger
from shared_models.telemetry import TOOL_DURATION
from shared_models.tokens import Identity, IdentitySigner

from agent_service.domain.ports import ToolResult, ToolSpec
from agent_service.errors import ToolServerUnavailable, ToolTimeout
from agent_service.mcp_transport import HttpDispatcher, ServerRefused, ServerUnreachable, SessionLost, call_headers

LIST_TTL_S = 300.0
LIST_RETRY_S, FIRST_LIST_RETRY_S = 2.0, 0.2
"""The first list is waited for; while an older one is there, a server that hangs holds nobody up more often than that."""
LIST_TIMEOUT_S = 5.0
MAX_PAGES = 20
MAX_OUTPUT_CHARS = 50_000
MAX_DESCRIPTION_CHARS = 4_000
NOBODY = UUID(int=0)
LIST_TOOLS = "tools/list"

SWITCHED_OFF = "This tool has changed since it was approved. It is switched off until an operator has looked at it."
UNKNOWN_TOOL = "There is no such tool."

log = get_logger(__name__)


@dataclass
class Server:
    """One MCP server as we know it. `pins`: what each tool looked like when it was first seen, as a hash."""

    name: str
    dispatcher: HttpDispatcher
    session: ClientSession | None = None
    specs: dict[str, ToolSpec] = field(default_factory=dict)
    switched_off: set[str] = field(default_factory=set)
    pins: dict[str, str] = field(default_factory=dict)
    listed_until: float = 0.0
    was_listed: bool = False
    problem: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def disconnect(self) -> None:
        """Begin anew with the next call, list included: the server may be another one now."""
        self.session = None
        self.listed_until = 0.0
        self.dispatcher.forget_session()


class McpTools:
    """The port Tools. `servers`: name → URL of its MCP endpoint; `http` stays its owner's to close."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        servers: Mapping[str, str],
        signer: IdentitySigner,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_output_chars: int = MAX_OUTPUT_CHARS,
    ) -> None:
        self._servers = {name: Server(name, HttpDispatcher(http, url)) for name, url in servers.items()}
        self._signer = signer
        self._clock = clock
        self._max_output_chars = max_output_chars

    async def warm(self) -> None:
        """Connect to every server and list its tools, so that the first person does not wait.

        Raises ToolServerUnavailable, once all were asked, when one of them is away."""
        away: ToolServerUnavailable | None = None
        for name, server in self._servers.items():
            try:
                await self.specs(name)
                await _compile_schemas(server)
            except ToolServerUnavailable as exc:
                away = exc
        if away is not None:
            raise away

    async def specs(self, server: str) -> list[ToolSpec]:
        """The server's tools. When it is away, those that it had last. Raises ToolServerUnavailable."""
        known = self._server(server)
        if known.listed_until <= self._clock():
            async with known.lock:
                if known.listed_until <= self._clock():
                    await self._list_again(known)
        if not known.was_listed:
            raise ToolServerUnavailable(known.problem)
        return list(known.specs.values())

    async def call(
        self, server: str, tool: str, arguments: dict[str, object], identity: Identity, timeout_s: float
    ) -> ToolResult:
        """Call a tool as `identity`; one that only reads is called again when its connection breaks.

        Raises ToolServerUnavailable, ToolTimeout."""
        started = time.perf_counter()
        outcome = "unavailable"
        try:
            result = await self._call(server, tool, arguments, identity, timeout_s)
            outcome = "error" if result.is_error else "ok"
        except ToolTimeout:
            outcome = "timeout"
            raise
        finally:
            TOOL_DURATION.labels(tool, outcome).observe(time.perf_counter() - started)
        return result

    async def _call(
        self, server: str, tool: str, arguments: dict[str, object], identity: Identity, timeout_s: float
    ) -> ToolResult:
        await self.specs(server)
        known = self._server(server)
        spec = known.specs.get(tool)
        if spec is None:
            return ToolResult(SWITCHED_OFF if tool in known.switched_off else UNKNOWN_TOOL, is_error=True)
        # A server may cut an idle connection at the moment we use it; so what only reads is asked twice.
        for is_last in (not spec.is_read_only, True):
            try:
                with self._as(known, identity, tool), _plain_errors(known, timeout_s):
                    async with asyncio.timeout(timeout_s):
                        return await self._ask(known, tool, arguments, timeout_s)
            except _ConnectionBroke as exc:
                if is_last:
                    raise exc.told from exc
        raise AssertionError("unreachable")

    async def _ask(self, server: Server, tool: str, arguments: dict[str, object], timeout_s: float) -> ToolResult:
        try:
            result = await (await self._connected(server)).call_tool(tool, arguments, timeout_s)
        except SessionLost:
            server.disconnect()
            await self.specs(server.name)
            result = await (await self._connected(server)).call_tool(tool, arguments, timeout_s)
        except MCPError as exc:
            if exc.code == INVALID_PARAMS:
                return ToolResult(f"The tool did not accept these arguments: {exc.message}"[:500], is_error=True)
            raise
        # The SDK's servers put this before the words of a tool that failed.
        text = text_of(result).removeprefix(f"Error executing tool {tool}: ")
        return ToolResult(cut(text, self._max_output_chars), is_error=result.is_error)

    async def _list_again(self, server: Server) -> None:
        """Fetch the list. When that fails the older list stays, if there is one, and the next try waits a little."""
        identity = Identity(NOBODY, "", "agent-service", NOBODY, LIST_TOOLS)
        try:
            with self._as(server, identity, LIST_TOOLS), _plain_errors(server, LIST_TIMEOUT_S):
                async with asyncio.timeout(LIST_TIMEOUT_S):
                    tools = await self._listed(server)
        except (ToolServerUnavailable, ToolTimeout, _ConnectionBroke) as exc:
            server.problem = (exc.told if isinstance(exc, _ConnectionBroke) else exc).detail
            server.listed_until = self._clock() + (LIST_RETRY_S if server.was_listed else FIRST_LIST_RETRY_S)
            log.warning("tools_not_listed", server=server.name, cause=server.problem)
            return
        _pin(server, tools)
        server.was_listed = True
        server.listed_until = self._clock() + LIST_TTL_S

    async def _listed(self, server: Server) -> list[Tool]:
        session = await self._connected(server)
        try:
            page = await session.list_tools()
        except SessionLost:
            server.disconnect()
            session = await self._connected(server)
            page = await session.list_tools()
        tools = list(page.tools)
        for _ in range(MAX_PAGES):
            if page.next_cursor is None:
                break
            page = await session.list_tools(params=PaginatedRequestParams(cursor=page.next_cursor))
            tools += page.tools
        return tools

    async def _connected(self, server: Server) -> ClientSession:
        """The newest protocol has nothing to connect, it is only asked for; older servers get their handshake."""
        if server.session is not None:
            return server.session
        session = ClientSession(dispatcher=server.dispatcher)
        try:
            await session.discover()
        except (MCPError, RuntimeError, ValidationError):
            await session.initialize()
        server.session = session
        return session

    @contextmanager
    def _as(self, server: Server, identity: Identity, tool: str) -> Iterator[None]:
        """The messages sent inside carry a token for this person, this server and this tool."""
        token = self._signer.sign(replace(identity, tool=tool), server=server.name)
        headers = {"authorization": f"Bearer {token}", "x-request-id": str(identity.request_id)}
        reset = call_headers.set(headers)
        try:
            yield
        finally:
            call_headers.reset(reset)

    def _server(self, name: str) -> Server:
        try:
            return self._servers[name]
        except KeyError:
            raise ToolServerUnavailable(f"{name} is not in MCP_SERVERS") from None


class _ConnectionBroke(Exception):
    def __init__(self, told: ToolServerUnavailable) -> None:
        self.told = told


@contextmanager
def _plain_errors(server: Server, timeout_s: float) -> Iterator[None]:
    """What can go wrong, in the errors of the port; `detail` is for logs."""
    try:
        yield
    except TimeoutError as exc:
        raise ToolTimeout(f"{server.name}: no answer within {timeout_s:g} s") from exc
    except ServerUnreachable as exc:
        told = ToolServerUnavailable(f"{server.name}: {exc}")
        raise (_ConnectionBroke(told) if exc.was_cut else told) from exc
    except ServerRefused as exc:
        raise ToolServerUnavailable(f"{server.name} refused our token: {exc}") from exc
    except (MCPError, RuntimeError, ValidationError, SessionLost) as exc:
        server.disconnect()
        raise ToolServerUnavailable(f"{server.name}: {type(exc).__name__}: {exc}"[:500]) from exc


def _pin(server: Server, tools: list[Tool]) -> None:
    """Take over the list; a tool that is not what it was is switched off and logged."""
    specs: dict[str, ToolSpec] = {}
    for tool in tools:
        seen = fingerprint(tool)
        if server.pins.setdefault(tool.name, seen) == seen and tool.name not in server.switched_off:
            specs[tool.name] = spec_of(tool)
        elif tool.name not in server.switched_off:
            server.switched_off.add(tool.name)
            log.error(
                "tool_changed", server=server.name, tool=tool.name, was=server.pins[tool.name][:12], now=seen[:12]
            )
    server.specs = specs


def fingerprint(tool: Tool) -> str:
    """A hash of what the model is told about a tool: its name, description and arguments."""
    told = [tool.name, tool.description, tool.input_schema]
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def spec_of(tool: Tool) -> ToolSpec:
    hints = tool.annotations
    return ToolSpec(
        name=tool.name,
        description=(tool.description or tool.title or "")[:MAX_DESCRIPTION_CHARS],
        parameters=tool.input_schema,
        is_read_only=hints is not None and hints.read_only_hint is True,
    )


def text_of(result: CallToolResult) -> str:
    """The structured content as JSON where there is any, else the texts; what is no text is named."""
    if result.structured_content is not None and not result.is_error:
        return orjson.dumps(result.structured_content).decode()
    parts = [block.text if isinstance(block, TextContent) else f"[{block.type} left out]" for block in result.content]
    return "\n".join(parts)


def cut(text: str, most: int) -> str:
    """The text, or its beginning and a note how much is missing."""
    return text if len(text) <= most else f"{text[:most]}\n[cut off: {most} of {len(text)} characters]"


async def _compile_schemas(server: Server) -> None:
    """The first check of a tool's output compiles its schema: do it before the first person asks."""
    for tool in server.specs:
        if server.session is not None:
            try:
                await server.session.validate_tool_result(tool, CallToolResult(content=[], structured_content={}))
            except RuntimeError:  # an empty result fits no schema, and that is not the point here
                continue
