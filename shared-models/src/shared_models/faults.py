"""Fault points: named places where a death or an error hurts most. Tests arm them, one by one; production passes by.

A folder (FAULTS_DIR, local profile only) arms a point by a file of its name, see `Fault`; a file `any` arms whichever point
is next. Each time one strikes, a line is written and fsynced to `struck.jsonl` there first: `point`, `kind`, `ref` (the
request or delivery), `at`; and for an exit another one for each delivery whose outcome it leaves unknown, `beside`."""

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STRUCK = "struck.jsonl"
ANY = "any"
REPLYING = "web.replying"

# Every point, and what has happened when it is reached. A test fails for one that no code calls, and for a call of none of these.
POINTS: dict[str, str] = {
    "request_manager.accept.before_commit": "a request is checked, nothing is stored",
    "request_manager.accept.committed": "it is stored, nobody has been told",
    "request_manager.handover.before_send": "it is about to go to agent-service or the broker",
    "request_manager.handover.sent": "agent-service or the broker has it, the row is still there",
    "request_manager.complete.before_commit": "the end is known, not stored",
    "request_manager.complete.committed": "the end is stored, nobody was woken",
    "request_manager.announce.before_send": "an end is about to go to the dispatcher or the broker",
    "request_manager.announce.sent": "the dispatcher or the broker has it, the row is still there",
    "request_manager.event.before_commit": "an event came, nothing is stored",
    "request_manager.event.committed": "its effect is stored, the sender was not told",
    "request_manager.end.before_ask": "an end is wanted, agent-service was not asked",
    "request_manager.end.asked": "agent-service has decided, the end is not copied",
    "agent_service.intake.before_commit": "a request came, no run is stored",
    "agent_service.intake.committed": "its run is stored, nobody has been told",
    "agent_service.begun": "a run is taken up",
    "agent_service.model.before_call": "the model is about to be asked",
    "agent_service.model.answered": "the model has answered, nothing of it is stored",
    "agent_service.tool.before_intent": "tools are about to be called, not even that is stored",
    "agent_service.tool.before_call": "what will be called is stored",
    "agent_service.tool.called": "a tool has had its effect, its result is not stored",
    "agent_service.finish.before_commit": "the answer is known, not stored",
    "agent_service.finish.committed": "the run has ended, nobody has been told",
    "agent_service.event.before_send": "an event is about to be sent",
    "agent_service.event.sent": "it was taken, its row is still there",
    "dispatcher.inbound.before_commit": "a provider has brought something, nothing is stored",
    "dispatcher.inbound.recorded": "it is stored, the provider was not told",
    "dispatcher.inbound.before_forward": "it is about to go to request-manager",
    "dispatcher.inbound.forwarded": "request-manager has it, the row is still there",
    "dispatcher.plan.before_commit": "an answer came, nothing is planned",
    "dispatcher.plan.committed": "its deliveries are stored, the sender was not told",
    "dispatcher.before_send": "a delivery is taken up, nothing was sent",
    "dispatcher.refused": "the receiver has refused the message, that is not written down",
    "dispatcher.sent_before_commit": "the receiver has the message, we have not written that down: the ambiguous window",
    "dispatcher.committed": "the delivery is stored as done",
    "dispatcher.report.before_send": "what became of a delivery is about to be told",
    "dispatcher.report.sent": "it was told, its row is still there",
    "servicenow_mcp.order.before_send": "a ticket is about to be ordered",
    "servicenow_mcp.order.sent": "ServiceNow has the order, agent-service was not told",
    "local_broker.event.stored": "the stand-in for the broker has an event, its sender was not told",
    "local_broker.event.delivered": "it has delivered one, and not written that down",
    REPLYING: "a service has done what it was asked, and is about to say so",
}


# Between these two the receiver may have a message that we have not written down.
WINDOW_OPENS, AMBIGUOUS = "dispatcher.before_send", "dispatcher.sent_before_commit"
WINDOW_CLOSES = ("dispatcher.committed", "dispatcher.refused")


class Kind(StrEnum):
    EXIT = "exit"  # kill -9 of oneself
    RAISE = "raise"
    SLEEP = "sleep"
    DROP_REPLY = "drop-reply"  # at REPLYING: the caller sees its connection break


@dataclass(frozen=True)
class Fault:
    """What the file of a point holds, as JSON. `match`: only where "point ref" contains it. `once`: the first one to strike takes
    the file away, so that one file is one strike, however many processes share the folder."""

    kind: Kind
    match: str = ""
    once: bool = True
    sleep_s: float = 1.0

    @classmethod
    def read(cls, text: str) -> "Fault":
        given = json.loads(text)
        return cls(**(given | {"kind": Kind(given["kind"])}))


class Injected(Exception):
    """A fault of kind `raise`."""


class ReplyDropped(Exception):
    """A fault of kind `drop-reply`."""


class Armed:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ambiguous: set[str] = set()

    async def pass_by(self, point: str, ref: str) -> None:
        if point not in POINTS:
            raise ValueError(f"no such fault point: {point}")
        fault = self._struck(point, ref) or self._struck(point, ref, ANY)
        if fault is not None:
            self._write_down(point, fault.kind, ref)
            await self._strike(point, ref, fault)
        if point == WINDOW_OPENS:
            self._ambiguous.add(ref)
        elif point in WINDOW_CLOSES:
            self._ambiguous.discard(ref)

    async def _strike(self, point: str, ref: str, fault: Fault) -> None:
        match fault.kind:
            case Kind.EXIT:
                for other in self._ambiguous - {ref}:
                    self._write_down(AMBIGUOUS, fault.kind, other, beside=point)
                os.kill(os.getpid(), signal.SIGKILL)
            case Kind.RAISE:
                raise Injected(point)
            case Kind.SLEEP:
                await asyncio.sleep(fault.sleep_s)
            case Kind.DROP_REPLY:
                raise ReplyDropped

    def _struck(self, point: str, ref: str, name: str = "") -> Fault | None:
        file = self._folder / (name or point)
        with suppress(FileNotFoundError):
            fault = Fault.read(file.read_text())
            if fault.match not in f"{point} {ref}":
                return None
            if fault.once:
                file.unlink()  # of two processes only one succeeds
            return fault
        return None

    def _write_down(self, point: str, kind: Kind, ref: str, **more: str) -> None:
        line = json.dumps({"point": point, "kind": kind, "ref": ref, "at": time.time()} | more)
        target = os.open(self._folder / STRUCK, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(target, line.encode() + b"\n")
            os.fsync(target)
        finally:
            os.close(target)


_armed: Armed | None = None


def arm(folder: Path | None) -> None:
    """From now on this process looks into `folder` at every point; None: at none."""
    global _armed  # one check of one name is all that a point may cost
    _armed = Armed(folder) if folder is not None else None


async def fault(point: str, ref: object = "") -> None:
    """A point of POINTS; `ref`: whose request or delivery it is. Does nothing unless a test has armed it."""
    if _armed is not None:
        await _armed.pass_by(point, str(ref))


def around(app: ASGIApp) -> ASGIApp:
    """`app` with the point REPLYING before each of its replies, if this process is armed; `ref` is its method and path."""
    return app if _armed is None else _FaultyReplies(app)


class _FaultyReplies:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_dropped = False

        async def send_or_drop(message: Message) -> None:
            nonlocal is_dropped
            if message["type"] == "http.response.start":
                try:
                    await fault(REPLYING, f"{scope['method']} {scope['path']}")
                except ReplyDropped:
                    is_dropped = True
            if not is_dropped:
                await send(message)

        await self._app(scope, receive, send_or_drop)
        if is_dropped:
            # A body that is promised and never comes: the server closes the connection.
            headers = [(b"content-length", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
