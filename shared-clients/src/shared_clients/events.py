"""Sending events to where this service's own events go: the broker, or request-manager's `/events` in direct mode."""

from urllib.parse import urlsplit

import httpx
from shared_models.enums import ServiceName
from shared_models.events import CloudEvent
from shared_models.settings import ServiceSettings
from shared_models.tokens import ServiceTokens

from shared_clients.http import ServiceClient


class EventSinkClient:
    """`client` has the sink's origin as its base URL; `sink_url` is the whole address."""

    def __init__(self, client: ServiceClient, sink_url: str) -> None:
        self._client = client
        self._path = urlsplit(sink_url).path or "/"

    async def send(self, event: CloudEvent) -> None:
        """Raises UpstreamUnavailable (send again later), UpstreamRejected (this event will never be taken)."""
        headers, body = event.to_binary()
        await self._client.call("POST", self._path, body=body, headers=headers, tries=1)


def event_sink(http: httpx.AsyncClient, settings: ServiceSettings, tokens: ServiceTokens) -> EventSinkClient:
    """The sink that the settings name, called with a token for whoever listens there."""
    address = urlsplit(settings.sink_url)
    audience = ServiceName.BROKER if settings.eventing_enabled else ServiceName.REQUEST_MANAGER
    client = ServiceClient(http, f"{address.scheme}://{address.netloc}", lambda: tokens.make(audience))
    return EventSinkClient(client, settings.sink_url)
