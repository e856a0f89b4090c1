"""Sending events to where this service's own events go: the broker, or request-manager's `/events` in direct mode."""

from urllib.parse import urlsplit

from shared_models.events import CloudEvent

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
