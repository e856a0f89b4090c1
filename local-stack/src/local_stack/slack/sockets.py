"""Socket Mode: the app holds a websocket open, and all that Slack sends comes over it.

Source: https://docs.slack.dev/apis/events-api/using-socket-mode"""

import asyncio
import json
import secrets
import uuid
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.websockets import WebSocket, WebSocketDisconnect

from local_stack.slack.members import APP_ID
from local_stack.slack.records import Json

ANSWERABLE = ("slash_commands", "interactive")


@dataclass
class Sockets:
    """The open connections; each envelope goes to one of them, in turn, and is acknowledged by its id."""

    tickets: set[str] = field(default_factory=set)
    open: list[WebSocket] = field(default_factory=list)
    _waiting: dict[str, asyncio.Future[Json]] = field(default_factory=dict)
    _turn: int = 0

    @property
    def is_used(self) -> bool:
        return bool(self.open)

    def new_ticket(self) -> str:
        """The right to connect once."""
        ticket = secrets.token_urlsafe(24)
        self.tickets.add(ticket)
        return ticket

    async def serve(self, socket: WebSocket) -> None:
        ticket = socket.query_params.get("ticket", "")
        if ticket not in self.tickets:
            await socket.close(code=1008)
            return
        self.tickets.discard(ticket)
        await socket.accept()
        self.open.append(socket)
        info = {"app_id": APP_ID}
        await socket.send_json({"type": "hello", "num_connections": len(self.open), "connection_info": info})
        try:
            while True:
                self._note_ack(await socket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            self.open.remove(socket)

    async def send(self, kind: str, payload: Json, retry: Json, *, within_s: float) -> Json | None:
        """Return the payload of the acknowledgement, or None when none came in time."""
        envelope_id = str(uuid.uuid4())
        envelope = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind in ANSWERABLE,
            **(retry if kind == "events_api" else {}),
        }
        self._turn += 1
        socket = self.open[self._turn % len(self.open)]
        acknowledged: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = acknowledged
        try:
            async with asyncio.timeout(within_s):
                await socket.send_json(envelope)
                return await acknowledged
        except (TimeoutError, WebSocketDisconnect, RuntimeError):  # RuntimeError: closed while we were sending
            return None
        finally:
            del self._waiting[envelope_id]

    async def refresh(self) -> None:
        """Tell every connection to come again, as Slack does now and then."""
        for socket in list(self.open):
            with suppress(RuntimeError, WebSocketDisconnect):
                await socket.send_json({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}})

    def _note_ack(self, text: str) -> None:
        try:
            ack = json.loads(text)
        except ValueError:
            return
        waiting = self._waiting.get(ack.get("envelope_id", "")) if isinstance(ack, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(ack.get("payload") or {})
