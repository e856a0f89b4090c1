"""The page behind the link of a mail in doubt. There only when mail comes in and EMAIL_LINKS_URL is set.

Opening it does nothing, as scanners of links do that too; its button does."""

from html import escape

from fastapi import APIRouter, Response
from shared_models.errors import NotFound

from integration_dispatcher.mail.proofs import MailProofs
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


def email_router() -> APIRouter:
    router = APIRouter(prefix="/email", tags=["email"])

    @router.get("/verify/{token}", response_class=Response, openapi_extra=callers("nobody"))
    async def show(token: str, parts: PartsDep) -> Response:
        """What the mail says, and a button. 410: the link is forged, used or too old."""
        mail = await _proofs(parts).waiting(token)
        return _page(_question(mail)) if mail is not None else _page(NOT_VALID, GONE)

    @router.post("/verify/{token}", response_class=Response, openapi_extra=callers("nobody"))
    async def confirm(token: str, parts: PartsDep) -> Response:
        """The mail is its sender's: it goes on. 410 as above."""
        return _page(DONE) if await _proofs(parts).confirm(token) else _page(NOT_VALID, GONE)

    return router


def _proofs(parts: Parts) -> MailProofs:
    if parts.mail_proofs is None:
        raise NotFound
    return parts.mail_proofs


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
