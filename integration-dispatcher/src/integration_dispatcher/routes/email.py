"""The pages behind the links in our mails. There only when mail goes out and EMAIL_LINKS_URL is set.

Opening one does nothing, as scanners of links do that too; its button does."""

from html import escape

from fastapi import APIRouter, Response
from shared_models.errors import NotFound

from integration_dispatcher.mail.doors import MailDoors
from integration_dispatcher.mail.received import Received
from integration_dispatcher.parts import Parts
from integration_dispatcher.routes.dependencies import PartsDep, callers

GONE = 410
# The address of the page is the proof: it must not leave in a Referer.
HEADERS = {
    "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}
DONE = "<h1>Thank you</h1><p>I go on with your mail. The answer comes by mail.</p>"
NOT_VALID = (
    "<h1>This link is not valid</h1><p>It has been used, or it is older than a day. Please send your mail again.</p>"
)

STOP = '<h1>Get no more mail?</h1><form method="post"><button>Yes, send me no more mail</button></form>'
STOPPED = (
    "<h1>Done</h1><p>You get no more mail, but for answers to what you ask by mail. "
    "You can switch e-mail on again in your settings.</p>"
)
NO_LINK = "<h1>This link is not valid</h1><p>Please open it as it stands in the mail.</p>"


def email_router() -> APIRouter:
    router = APIRouter(prefix="/email", tags=["email"])

    @router.get("/verify/{token}", response_class=Response, openapi_extra=callers("nobody"))
    async def show(token: str, parts: PartsDep) -> Response:
        """What the mail says, and a button. 410: the link is forged, used or too old."""
        mail = await _doors(parts).proofs.waiting(token)
        return _page(_question(mail)) if mail is not None else _page(NOT_VALID, GONE)

    @router.post("/verify/{token}", response_class=Response, openapi_extra=callers("nobody"))
    async def confirm(token: str, parts: PartsDep) -> Response:
        """The mail is its sender's: it goes on. 410 as above."""
        return _page(DONE) if await _doors(parts).proofs.confirm(token) else _page(NOT_VALID, GONE)

    @router.get("/unsubscribe/{token}", response_class=Response, openapi_extra=callers("nobody"))
    async def ask_to_stop(token: str, parts: PartsDep) -> Response:
        """A button. 410: the link is forged."""
        is_valid = _doors(parts).unsubscribing.is_valid(token)
        return _page(STOP) if is_valid else _page(NO_LINK, GONE)

    @router.post("/unsubscribe/{token}", response_class=Response, openapi_extra=callers("nobody"))
    async def stop(token: str, parts: PartsDep) -> Response:
        """Deliveries by e-mail are off; mail programs call this too (RFC 8058). 410 as above."""
        return _page(STOPPED) if await _doors(parts).unsubscribing.stop(token) else _page(NO_LINK, GONE)

    return router


def _doors(parts: Parts) -> MailDoors:
    if parts.mail_doors is None:
        raise NotFound
    return parts.mail_doors


def _question(mail: Received) -> str:
    """Only what came with the mail, and all of it: nothing is confirmed unseen, nothing tells whether its sender is known."""
    return (
        f"<h1>Did you write this mail?</h1><p>From: {escape(mail.sender)}<br>Subject: {escape(mail.subject)}</p>"
        f"<blockquote><pre>{escape(mail.text)}</pre></blockquote>"
        '<form method="post"><button>Yes, I wrote it: go on</button></form>'
        "<p>If you did not, close this page: nothing happens.</p>"
    )


def _page(body: str, status: int = 200) -> Response:
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Your mail</title>'
    html = f'<!doctype html><html lang="en"><head>{head}</head><body><main>{body}</main></body></html>'
    return Response(html, status, HEADERS, "text/html; charset=utf-8")
