"""Client of integration-dispatcher."""

from collections.abc import Mapping

import httpx
from shared_models.events import CloudEvent
from shared_models.schemas import AgentResponse

from shared_clients.http import ServiceClient


class IntegrationDispatcherClient:
    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def deliver(self, answer: AgentResponse) -> None:
        """Have the deliveries of an ended request planned. Safe to repeat."""
        await self._client.call("POST", "/api/v1/deliveries", body=answer.model_dump_json().encode())

    async def send_event(self, event: CloudEvent) -> None:
        """Pass an event on as a broker would."""
        headers, body = event.to_binary()
        await self._client.call("POST", "/events", body=body, headers=headers)

    async def forward(
        self, method: str, path: str, *, token: str, body: bytes | None, params: Mapping[str, str | int]
    ) -> httpx.Response:
        """Pass a person's call on; `token` names the person on whose behalf."""
        return await self._client.call(method, path, body=body, params=params, token=token, tries=1)
