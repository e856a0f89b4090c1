"""The MCP tools. No tool takes a user: the signed token of the request says who acts."""

import re
import time
from typing import Annotated, Any

import structlog
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp_types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations
from prometheus_client import Histogram
from pydantic import Field, ValidationError
from shared_models.logging import get_logger
from shared_models.tokens import Identity

from servicenow_mcp.desk import Desk
from servicenow_mcp.errors import Refusal, ServiceNowFault
from servicenow_mcp.gate import identity_of
from servicenow_mcp.results import EligibilityCard, LaptopOptions, MyLaptops, OpenTickets, RefreshTicket

SERVER_NAME = "servicenow"
READ = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ORDER = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
CRASH_WORDS = "Something went wrong on our side while I asked ServiceNow. Please try again, or tell the service desk."
CONTROL = re.compile(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f]")

SerialNumber = Annotated[
    str | None,
    Field(
        max_length=64, description="Serial number of one of the person's laptops; needed only when they have several."
    ),
]
LaptopCode = Annotated[
    str, Field(min_length=1, max_length=64, description="The code of one of the options of list_laptop_options.")
]
Justification = Annotated[
    str, Field(max_length=2000, description="Why the person needs the laptop, in their own words; may be empty.")
]

SERVED = Histogram("ssa_mcp_tool_duration_seconds", "One tool call, served", ["server", "tool", "outcome"])

log = get_logger(__name__)


class ToolServer(MCPServer[Any]):
    """An MCP server whose failed tools say one sentence that a person can read, and log the cause for the operator."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        started = time.perf_counter()
        caller = identity_of(context and context.request_context.request, name)
        with structlog.contextvars.bound_contextvars(
            request_id=str(caller.request_id), user_id=str(caller.user_id), tool=name
        ):
            try:
                if unknown := self._unknown_arguments(name, arguments):
                    words = f"{name} does not take {', '.join(unknown)}."
                    raise ToolError(words) from Refusal(words, "arguments the tool does not have")
                result = await super().call_tool(name, arguments, context)
            except ToolError as exc:
                outcome, words = _explain(exc)
                result = CallToolResult(content=[TextContent(type="text", text=words)], is_error=True)
            else:
                outcome = "ok"
            seconds = time.perf_counter() - started
            SERVED.labels(SERVER_NAME, name, outcome).observe(seconds)
            log.info("tool_called", outcome=outcome, ms=round(seconds * 1000, 1))
            return result

    def _unknown_arguments(self, name: str, arguments: dict[str, Any]) -> list[str]:
        """Return the arguments the tool does not have, such as the user id that a model may try to give."""
        schema = self._tool_input_schema(name)
        return sorted(key[:40] for key in set(arguments) - set(schema["properties"])) if schema is not None else []


def _explain(exc: ToolError) -> tuple[str, str]:
    """Return the outcome for the metrics and the words for the person; log what the operator needs."""
    match exc.__cause__:
        case Refusal() as refusal:
            log.info("tool_refused", cause=refusal.cause)
            return "refused", refusal.words
        case ServiceNowFault() as fault:
            log.warning("servicenow_fault", fault=type(fault).__name__, cause=fault.cause)
            return "fault", fault.words
        case ValidationError() as invalid:
            fields = sorted({".".join(str(part) for part in error["loc"]) for error in invalid.errors()})
            return "invalid", f"These arguments are missing or not valid: {', '.join(fields)}."
        case cause if isinstance(exc, UnexpectedToolError):
            log.error("tool_crashed", exc_info=cause)
            return "crash", CRASH_WORDS
    return "invalid", "There is no such tool."


def create_server(desk: Desk, version: str) -> ToolServer:
    server = ToolServer(
        SERVER_NAME,
        title="ServiceNow",
        version=version,
        instructions="Laptops, refresh eligibility, offers and tickets of the person who is signed in.",
        subscriptions=False,
    )

    @server.tool(annotations=READ)
    async def find_my_laptops(ctx: Context[Any, Any]) -> MyLaptops:
        """Look up the person who asks and their laptop or laptops: model, serial number, purchase date, age, warranty."""
        return await desk.laptops(_caller(ctx, "find_my_laptops"))

    @server.tool(annotations=READ)
    async def check_laptop_eligibility(ctx: Context[Any, Any], serial_number: SerialNumber = None) -> EligibilityCard:
        """Say whether the person's laptop may be replaced now, by the laptop refresh policy."""
        return await desk.eligibility(_caller(ctx, "check_laptop_eligibility"), serial_number)

    @server.tool(annotations=READ)
    async def list_laptop_options(ctx: Context[Any, Any]) -> LaptopOptions:
        """List the laptops that the person may choose, by the region of their office, with prices."""
        return await desk.options(_caller(ctx, "list_laptop_options"))

    @server.tool(annotations=ORDER)
    async def open_laptop_refresh_ticket(
        ctx: Context[Any, Any],
        laptop_code: LaptopCode,
        business_justification: Justification = "",
        serial_number: SerialNumber = None,
    ) -> RefreshTicket:
        """Open the ticket that orders the chosen laptop, after the person's yes. Asked again, it returns that ticket."""
        caller = _caller(ctx, "open_laptop_refresh_ticket")
        justification = CONTROL.sub(" ", business_justification)
        return await desk.open_ticket(caller, laptop_code.strip(), justification, serial_number)

    @server.tool(annotations=READ)
    async def list_my_open_tickets(ctx: Context[Any, Any]) -> OpenTickets:
        """List the person's open requests in ServiceNow with their state."""
        return await desk.open_tickets(_caller(ctx, "list_my_open_tickets"))

    return server


def _caller(ctx: Context[Any, Any], tool: str) -> Identity:
    return identity_of(ctx.request_context.request, tool)
