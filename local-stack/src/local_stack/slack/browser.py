"""What the workspace in the browser asks for: who is there, what was said, what changes, and what a person does."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from shared_models.slack_manifest import ASK_SHORTCUT
from starlette.responses import JSONResponse, StreamingResponse

from local_stack.pages.site import HEADERS, check_from_this_machine, pages
from local_stack.slack import modals
from local_stack.slack.actions import find_action
from local_stack.slack.errors import Refused
from local_stack.slack.members import APP_NAME, BOT_USER_ID, TEAM_NAME
from local_stack.slack.records import Json, Message
from local_stack.slack.standin import Standin, typed

STATIC = Path(__file__).parent / "static"
HEARTBEAT_S = 15.0


class Act(BaseModel):
    """Everything is done by a `person`, by user name; there is no password in a stand-in."""

    model_config = ConfigDict(extra="forbid")

    person: str


class File(BaseModel):
    """Only what an event tells of a file: its bytes stay where they are."""

    name: str
    mimetype: str = "application/octet-stream"
    size: int = 0


class Say(Act):
    channel: str
    text: str = Field(default="", max_length=12_000)
    thread: str = ""
    files: list[File] = []


class Command(Act):
    channel: str
    command: str = Field(pattern=r"^/\S{1,32}$")
    text: str = Field(default="", max_length=3000)


class Press(Act):
    channel: str
    ts: str
    action: str
    value: str = ""


class Shortcut(Act):
    channel: str
    ts: str


class React(Act):
    channel: str
    ts: str
    name: str


class Stop(Act):
    channel: str
    thread: str


class Submit(Act):
    view: str
    values: dict[str, Any]


class Close(Act):
    view: str


def browser_routes(standin: Standin) -> APIRouter:
    router = APIRouter()
    router.include_router(pages(STATIC))
    router.include_router(_reading(standin))
    router.include_router(_acting(standin))
    return router


def _reading(standin: Standin) -> APIRouter:
    router = APIRouter(prefix="/workspace", dependencies=[Depends(check_from_this_machine)])
    workspace = standin.workspace

    @router.get("")
    async def everything(person: str = "alice") -> JSONResponse:
        """Who is in the workspace, and which channels `person` sees."""
        member = workspace.member(person)
        view = workspace.open_view(member.id)
        return JSONResponse(
            {
                "team": TEAM_NAME,
                "app": {"id": BOT_USER_ID, "name": APP_NAME},
                "me": member.id,
                "members": [
                    {"id": each.id, "user_name": each.user_name, "name": each.name, "is_bot": each.is_bot}
                    for each in workspace.members.values()
                    if each.is_active
                ],
                "channels": [
                    {"id": each.id, "name": each.name, "kind": each.kind}
                    for each in workspace.channels.values()
                    if member.id in each.members
                ],
                "view": view.to_api() if view else None,
            }
        )

    @router.get("/messages")
    async def messages(person: str, channel: str) -> JSONResponse:
        """All of a channel, oldest first, with what only this person sees, and the status lines that stand now."""
        member = workspace.member(person)
        if member.id not in workspace.channel(channel).members:
            raise Refused("channel_not_found")
        own = [each for each in workspace.ephemeral if (each.channel, each.only_for) == (channel, member.id)]
        shown = sorted((*workspace.messages[channel], *own), key=_by_time)
        statuses = [
            {"thread_ts": ts, "text": workspace.status(channel, ts), "can_stop": status.can_stop}
            for (at, ts), status in workspace.statuses.items()
            if at == channel
        ]
        return JSONResponse({"messages": [workspace.shown(each) for each in shown], "statuses": statuses})

    @router.get("/changes")
    async def changes(person: str) -> StreamingResponse:
        """Server-sent events: message, gone, status, view."""
        stream = _stream(standin, workspace.member(person).id)
        return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)

    return router


def _by_time(message: Message) -> str:
    return message.ts


async def _stream(standin: Standin, user: str) -> AsyncIterator[str]:
    with standin.workspace.listening(user) as queue:
        yield "event: ready\ndata: {}\n\n"
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    kind, data = await queue.get()
            except TimeoutError:
                yield ": still here\n\n"
            else:
                yield f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _acting(standin: Standin) -> APIRouter:
    router = APIRouter(prefix="/workspace", dependencies=[Depends(check_from_this_machine)])

    @router.post("/say")
    async def say(body: Say) -> Json:
        text = typed(body.text, list(standin.workspace.members.values()))
        if not text.strip() and not body.files:
            raise Refused("no_text")
        files = [each.model_dump() for each in body.files]
        message = standin.say(body.person, body.channel, text, thread=body.thread, files=files)
        return {"ok": True, "ts": message.ts}

    @router.post("/command")
    async def command(body: Command) -> Json:
        sent = await standin.command(body.person, body.channel, body.command, body.text)
        return {"ok": sent.is_taken}

    @router.post("/press")
    async def press(body: Press) -> Json:
        message = standin.seen(body.person, body.channel, body.ts)
        sent = await standin.press(
            body.person, body.channel, body.ts, find_action(message.blocks, body.action, body.value)
        )
        if not sent.is_taken:
            raise Refused("app_did_not_answer")
        return {"ok": True}

    @router.post("/shortcut")
    async def shortcut(body: Shortcut) -> Json:
        """The one shortcut that the app's manifest has for messages."""
        sent = await standin.shortcut(body.person, ASK_SHORTCUT, body.channel, body.ts)
        if not sent.is_taken:
            raise Refused("app_did_not_answer")
        return {"ok": True}

    @router.post("/react")
    async def react(body: React) -> Json:
        standin.react(body.person, body.channel, body.ts, body.name)
        return {"ok": True}

    @router.post("/stop")
    async def stop(body: Stop) -> Json:
        standin.stop(body.person, body.channel, body.thread)
        return {"ok": True}

    @router.post("/submit")
    async def submit(body: Submit) -> Json:
        errors = await modals.submit(standin, body.person, body.view, body.values)
        return {"ok": not errors, "errors": errors}

    @router.post("/close")
    async def close(body: Close) -> Json:
        await modals.close(standin, body.person, body.view)
        return {"ok": True}

    @router.post("/open")
    async def opened(body: Act) -> Json:
        standin.open_direct(body.person)
        return {"ok": True}

    return router


async def refused(_: Request, exc: Exception) -> JSONResponse:
    """The answer to an act that the workspace does not allow."""
    assert isinstance(exc, Refused)
    return JSONResponse(exc.body(), 409)
