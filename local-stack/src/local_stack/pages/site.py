"""The pages of the stand-ins: plain files with one look, served to browsers of this machine only, without inline script."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.exceptions import HTTPException
from starlette.responses import FileResponse, Response

SHARED = Path(__file__).parent / "static"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
THIS_MACHINE = ("127.0.0.1", "localhost", "[::1]")


def pages(folder: Path) -> APIRouter:
    """`/` is the folder's index.html; `/static/NAME` its other files, and those that all stand-ins share (stand-in.css)."""
    router = APIRouter()
    files = {each.name: each for place in (SHARED, folder) for each in place.iterdir() if each.suffix in KINDS}

    @router.get("/")
    async def index(request: Request) -> Response:
        return await static("index.html", request)

    @router.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        check_from_this_machine(request)
        if name not in files:
            raise HTTPException(404)
        return FileResponse(files[name], media_type=KINDS[files[name].suffix], headers=HEADERS)

    return router


def check_from_this_machine(request: Request) -> None:
    """A page of somebody else's must not reach a stand-in through the developer's browser. Raises HTTPException 403.

    The Host header tells a name that was bent to 127.0.0.1; JSON tells a form or a script of another site, which the
    browser would ask us about first."""
    host = request.headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    is_json = request.headers.get("content-type", "").startswith("application/json")
    if name not in THIS_MACHINE or (request.method != "GET" and not is_json):
        raise HTTPException(403, "only for pages of this machine")
