"""The list of what can come in. To add a provider: write its file here beside the others, and add its line below."""

from integration_dispatcher.inbound.base import InboundEdges, InboundProcessor

type Processors = dict[str, InboundProcessor]


def all_processors(edges: InboundEdges) -> Processors:
    """By the `provider` of their events."""
    return {}
