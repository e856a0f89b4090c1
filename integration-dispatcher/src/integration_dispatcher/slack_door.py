"""Where Slack comes in, by HTTP or over a socket: verified and parsed by Bolt, recorded, then acknowledged. Nothing else is done here.

Loaded only where Slack is set up: Bolt costs each process some megabytes and a good part of a second.
Sources: https://docs.slack.dev/authentication/verifying-requests-from-slack, https://docs.slack.dev/apis/events-api"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.starlette.async_handler import to_async_bolt_request, to_starlette_response
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import Response

from integration_dispatcher.inbound import slack_arrivals as arrivals
from integration_dispatcher.settings_slack import SlackSettings
from integration_dispatcher.store.inbound import NewInbound

RECORD_WITHIN_S = 0.8
RECONNECT_AFTER_S = (1.0, 30.0)
NO_RETRY = {"x-slack-no-retry": "1"}
TIMESTAMP, SIGNATURE = re.compile(r"[0-9]{1,12}", re.ASCII), re.compile(r"v0=[0-9a-f]{64}", re.ASCII)
ANY = re.compile(r".*", re.DOTALL)
NO_TEXT = (
    "Write your question behind the command, for example: `{command} my laptop is slow`. The answer comes to you as a direct "
    "message. You can also write to me directly, or mention me in a channel."
)
ON_IT = "I am on it. The answer comes to you as a direct message."

type Json = dict[str, Any]
type Receive = Callable[[NewInbound], Awaitable[bool]]

log = get_logger(__name__)


class SlackDoor:
    """`receive` records an event. HTTP requests are let in by their signature, and by nothing without SLACK_SIGNING_SECRET."""

    def __init__(self, settings: SlackSettings, receive: Receive) -> None:
        self._receive = receive
        secret = settings.slack_signing_secret.get_secret_value()
        self._verifier = SignatureVerifier(secret) if secret else None
        self._app_token = settings.slack_app_token.get_secret_value()
        self._api_url = settings.slack_api_url
        self._bolt = self._listening(secret)
        self._socket: asyncio.Task[None] | None = None

    async def handle(self, request: Request) -> Response:
        """The answer to one HTTP request of Slack: 200 recorded, 401 and 400 never, 503 later."""
        body = await request.body()
        if not self._is_signed(request, body):
            return Response('{"error": "not signed by Slack, or too old"}', 401, NO_RETRY, "application/json")
        try:
            answer = to_starlette_response(await self._bolt.async_dispatch(to_async_bolt_request(request, body)))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as exc:
            log.warning("slack_sent_what_cannot_be_read", cause=type(exc).__name__)
            return Response('{"error": "this cannot be read"}', 400, NO_RETRY, "application/json")
        if 400 <= answer.status_code < 500:
            answer.headers.update(NO_RETRY)
        return answer

    def start(self) -> None:
        """Connect by Socket Mode, if an app token is set."""
        if self._app_token:
            self._socket = asyncio.create_task(self._listen_for_ever(), name="slack socket")

    async def stop(self) -> None:
        if self._socket is not None:
            self._socket.cancel()
            with suppress(asyncio.CancelledError):
                await self._socket

    def _is_signed(self, request: Request, body: bytes) -> bool:
        """Looked at before anything is parsed, and over the raw bytes. Odd headers are no signature, and no error."""
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        if self._verifier is None or not (TIMESTAMP.fullmatch(timestamp) and SIGNATURE.fullmatch(signature)):
            return False
        try:
            return self._verifier.is_valid(body, timestamp, signature)
        except UnicodeDecodeError:
            return False

    def _listening(self, secret: str) -> AsyncApp:
        logger = logging.getLogger("slack_bolt")
        logger.setLevel(logging.CRITICAL)  # its lines hold bodies; what matters is logged here
        bolt = AsyncApp(
            logger=logger,
            name="self-service-agent",
            signing_secret=secret or "unused: nothing comes in by HTTP",
            authorize=_authorize,
            process_before_response=True,
            ssl_check_enabled=False,  # would be answered unsigned
        )
        bolt.use(self._rate_limited)
        bolt.event(ANY)(self._on_event)
        bolt.command(ANY)(self._on_command)
        for kind in (bolt.action, bolt.view_submission, bolt.view_closed, bolt.shortcut):
            kind(ANY)(self._on_interaction)
        bolt.error(_failed)
        return bolt

    async def _rate_limited(
        self, body: Json, ack: AsyncAck, next_: Callable[[], Awaitable[None]]
    ) -> BoltResponse | None:
        """Slack leaves events out for a minute. Source: https://docs.slack.dev/reference/events/app_rate_limited"""
        if body.get("type") != "app_rate_limited":
            await next_()
            return None
        log.error("slack_leaves_out_events", team=str(body.get("team_id")), minute=body.get("minute_rate_limited"))
        return await ack()

    async def _on_event(self, body: Json, ack: AsyncAck) -> None:
        arrived = arrivals.event(body)
        if arrived is not None:
            await self._record(arrived)
        await ack()

    async def _on_command(self, body: Json, ack: AsyncAck) -> None:
        if not str(body.get("text", "")).strip():
            await ack(NO_TEXT.format(command=body.get("command") or "/it"))
            return
        await self._record(arrivals.command(body))
        await ack(ON_IT)

    async def _on_interaction(self, body: Json, ack: AsyncAck) -> None:
        """An empty answer closes a modal."""
        await self._record(arrivals.interaction(body))
        await ack()

    async def _record(self, arrived: NewInbound) -> None:
        """Raises Unavailable: Slack is to send it again. It waits for 3 s; what hangs is answered long before."""
        try:
            async with asyncio.timeout(RECORD_WITHIN_S):
                await self._receive(arrived)
        except TimeoutError as exc:
            raise Unavailable from exc

    async def _listen_for_ever(self) -> None:
        """Slack's client connects again by itself, but gives up at the first try."""
        client = AsyncWebClient(base_url=self._api_url.rstrip("/") + "/")
        handler = AsyncSocketModeHandler(self._bolt, self._app_token, web_client=client, logger=self._bolt.logger)
        wait_s, most_s = RECONNECT_AFTER_S
        try:
            while True:
                try:
                    await handler.connect_async()  # type: ignore[no-untyped-call]
                    break
                except Exception as exc:  # noqa: BLE001  # whatever keeps it away, it is tried again
                    log.warning("slack_socket_not_connected", cause=type(exc).__name__)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, most_s)
            log.info("slack_socket_connected")
            await asyncio.Event().wait()
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call]


async def _authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
    """Nothing is asked of Slack before the acknowledgement: the signature has said who calls."""
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id)


async def _failed(error: Exception) -> BoltResponse:
    """Nothing may be taken as recorded: Slack sends it again."""
    if isinstance(error, Unavailable):
        log.warning("slack_not_recorded", cause="database")
    else:
        log.error("slack_not_recorded", exc_info=error)
    return BoltResponse(status=503, body="")
