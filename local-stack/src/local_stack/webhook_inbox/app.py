"""The routes of the webhook inbox: the receivers at `/hooks/NAME`, and its page at `/webhooks/`."""

from pathlib import Path as Folder
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.exceptions import HTTPException
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from local_stack.pages.site import check_from_this_machine, pages
from local_stack.webhook_inbox.inbox import Behaviour, Hook, WebhookInbox
from local_stack.webhook_inbox.signing import key_of

STATIC = Folder(__file__).parent / "static"
MAX_BODY_BYTES = 1024 * 1024

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9._-]{0,39}$")]


class Change(BaseModel):
    """None: as it is."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    secret: str | None = None
    behaviour: Behaviour | None = None


def inbox_routes(inbox: WebhookInbox) -> APIRouter:
    router = APIRouter()
    router.include_router(_receivers(inbox))
    router.include_router(_page_api(inbox))
    router.include_router(pages(STATIC), prefix="/webhooks")
    return router


def _receivers(inbox: WebhookInbox) -> APIRouter:
    router = APIRouter()

    @router.post("/hooks/{name}")
    async def receive(name: Name, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return Response(status_code=413)
        answer = inbox.take(name, dict(request.headers), bytes(body))
        if answer.status == 0:
            while (await request.receive())["type"] != "http.disconnect":
                continue
            return Response(status_code=504)
        return JSONResponse(answer.body, answer.status, headers=answer.headers)

    return router


def _page_api(inbox: WebhookInbox) -> APIRouter:
    router = APIRouter(prefix="/webhooks/hooks", dependencies=[Depends(check_from_this_machine)])

    @router.get("")
    async def hooks(request: Request) -> dict[str, object]:
        base = (inbox.url or str(request.base_url)).rstrip("/")
        found = [_shown(name, hook, base) for name, hook in inbox.kept.hooks.items()]
        return {"version": inbox.version, "hooks": found}

    @router.put("/{name}", status_code=204)
    async def change(name: Name, given: Change) -> None:
        hook = inbox.kept.hooks.setdefault(name, Hook())
        if given.secret is not None:
            try:
                _ = given.secret and key_of(given.secret)
            except ValueError as exc:
                raise HTTPException(422, str(exc)) from exc
            hook.secret = given.secret
        hook.behaviour = given.behaviour or hook.behaviour
        inbox.save()

    @router.delete("/{name}/received", status_code=204)
    async def clear(name: Name) -> None:
        if name in inbox.kept.hooks:
            inbox.kept.hooks[name].received = []
            inbox.save()

    return router


def _shown(name: str, hook: Hook, base: str) -> dict[str, object]:
    return {
        "name": name,
        "url": f"{base}/hooks/{name}",
        "behaviour": hook.behaviour,
        "knows_secret": bool(hook.secret),
        "received": [each.model_dump(mode="json") for each in reversed(hook.received)],
    }
