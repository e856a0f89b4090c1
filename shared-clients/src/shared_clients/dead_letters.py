"""The dead letters of a neighbour, as request-manager gathers them. It has the same methods as the box it talks to."""

from urllib.parse import quote

from shared_models.enums import ServiceName
from shared_models.errors import Conflict, Gone, NotFound, ServiceError, UpstreamRejected
from shared_models.operations import DeadLetterDetail, DeadLetterFilter, DeadLetterPage, DeadLetterView, Place

from shared_clients.http import ServiceClient

PATH = "/api/v1/dead-letters"
FIELDS = set(DeadLetterFilter.model_fields)
REFUSALS: dict[int, type[ServiceError]] = {404: NotFound, 409: Conflict, 410: Gone}


class DeadLetterClient:
    """Raises UpstreamUnavailable when the service is away, and its own refusals: NotFound, Conflict, Gone."""

    def __init__(self, client: ServiceClient, service: ServiceName) -> None:
        self._client = client
        self._service = service

    async def page(self, wanted: DeadLetterFilter, before: Place | None, limit: int) -> list[DeadLetterView]:
        if wanted.service not in (None, self._service):
            return []
        params: dict[str, str | int] = {"limit": limit}
        params |= {
            name: str(value)
            for name, value in wanted.model_dump(mode="json", include=FIELDS, exclude_none=True).items()
        }
        if before is not None:
            params["cursor"] = before.cursor
        reply = await self._client.call("GET", PATH, params=params, tries=1)
        return DeadLetterPage.model_validate_json(reply.content).items

    async def read(self, letter_id: str) -> DeadLetterDetail:
        reply = await self._call("GET", f"{PATH}/{quote(letter_id, safe='')}")
        return DeadLetterDetail.model_validate_json(reply)

    async def replay(self, letter_id: str) -> None:
        await self._call("POST", f"{PATH}/{quote(letter_id, safe='')}/replay")

    async def discard(self, letter_id: str) -> None:
        await self._call("DELETE", f"{PATH}/{quote(letter_id, safe='')}")

    async def _call(self, method: str, path: str) -> bytes:
        """Once: a second replay of what was replayed would be told that it is not there."""
        try:
            return (await self._client.call(method, path, tries=1)).content
        except UpstreamRejected as exc:
            refusal = REFUSALS.get(exc.upstream_status)
            if refusal is None:
                raise
            raise refusal(exc.refusal.message, hint=exc.refusal.hint) from exc
