"""The mail view in the browser, and the API behind it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from local_stack.mail.faults import Fault
from local_stack.mail.mailboxes import Draft, Mail
from local_stack.mail.standin import MailStandin, reply_to
from local_stack.pages.site import check_from_this_machine, pages
from local_stack.program import control, readiness

STATIC = Path(__file__).parent / "static"

type Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class NewMail(BaseModel):
    """A mail that a person writes. `answers`: the uid of the mail that it answers; its thread and subject follow from that."""

    model_config = ConfigDict(extra="forbid")

    sender: str = Field(min_length=3, max_length=320, pattern=r"^[^@\s<>]+@[^@\s<>]+$")
    subject: str = Field(default="", max_length=500, pattern=r"^[^\r\n]*$")
    text: str = Field(min_length=1, max_length=60_000)
    answers: int | None = None
    is_forged: bool = False


class Robot(BaseModel):
    model_config = ConfigDict(extra="forbid")

    address: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")
    text: str = Field(min_length=1, max_length=1_000)


def create_app(standin: MailStandin, lifespan: Lifespan | None = None) -> FastAPI:
    app = FastAPI(title="Mail stand-in", openapi_url=None, lifespan=lifespan)
    app.include_router(readiness())
    app.include_router(pages(STATIC))
    app.include_router(_mail_routes(standin))
    app.include_router(_control_routes(standin))
    return app


def _mail_routes(standin: MailStandin) -> APIRouter:
    router = APIRouter(prefix="/api", dependencies=[Depends(check_from_this_machine)])

    @router.get("/mailboxes")
    async def mailboxes() -> dict[str, Any]:
        own = standin.settings.agent_address
        names = [*standin.settings.known_people, *standin.mailboxes.names]
        return {"agent": own, "people": [name for name in dict.fromkeys(names) if name != own]}

    @router.get("/mails")
    async def mails(mailbox: str) -> dict[str, Any]:
        """Newest first, with what the person has sent."""
        own = [mail for mail in standin.mailboxes.all() if mailbox in (mail.mailbox, _sender(mail))]
        return {"items": [_view(mail, mailbox) for mail in reversed(own)]}

    @router.post("/mails", status_code=201)
    async def send(new: NewMail) -> Response:
        asked = standin.mailboxes.get(new.answers) if new.answers is not None else None
        if new.answers is not None and asked is None:
            return JSONResponse({"detail": "The mail that it answers is gone."}, 404)
        if asked is not None:
            draft = reply_to(asked, new.text, new.sender)
        else:
            draft = Draft(new.sender, standin.settings.agent_address, new.subject, new.text, is_forged=new.is_forged)
        mail = await standin.send(draft)
        return JSONResponse(_view(mail, new.sender), 201)

    @router.delete("/mails", status_code=204)
    async def clear() -> Response:
        await standin.mailboxes.clear()
        return Response(status_code=204)

    return router


def _control_routes(standin: MailStandin) -> APIRouter:
    router = control(standin.settings.control_token)

    @router.post("/faults", status_code=204)
    async def script(fault: Fault) -> None:
        standin.faults.add(fault)

    @router.delete("/faults", status_code=204)
    async def clear() -> None:
        standin.faults.clear()

    @router.put("/robots", status_code=204)
    async def robot(robot: Robot) -> None:
        standin.robots[robot.address.lower()] = robot.text

    return router


def _sender(mail: Mail) -> str:
    header = mail.parsed["from"]
    return header.addresses[0].addr_spec.lower() if header is not None and header.addresses else ""


def _view(mail: Mail, mailbox: str) -> dict[str, Any]:
    """As the page shows it; the text alone, whatever else the mail holds."""
    parsed = mail.parsed
    body = parsed.get_body(("plain", "html"))
    return {
        "uid": mail.uid,
        "is_own": mail.mailbox != mailbox,
        "from": str(parsed.get("from", "")),
        "to": str(parsed.get("to", "")),
        "subject": str(parsed.get("subject", "")),
        "date": mail.received_at.isoformat(),
        "message_id": str(parsed.get("message-id", "")),
        "in_reply_to": str(parsed.get("in-reply-to", "")),
        "text": str(body.get_content()) if body is not None else "",
        "is_seen": mail.is_seen,
    }
