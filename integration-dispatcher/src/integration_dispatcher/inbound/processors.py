"""The list of what can come in. To add a provider: write its file here beside the others, and add its line below."""

from integration_dispatcher.inbound.base import InboundEdges, InboundProcessor

type Processors = dict[str, InboundProcessor]


def all_processors(edges: InboundEdges) -> Processors:
    """By the `provider` of their events. Those of what is not set up are not there, and not imported."""
    processors: Processors = {}
    if edges.settings.reads_mail:
        from integration_dispatcher.inbound.email import email_processor

        processors["email"] = email_processor(edges)
    if edges.settings.has_slack:
        from integration_dispatcher.inbound.slack import slack_processor
        from integration_dispatcher.inbound.slack_actions import slack_actions

        processors["slack"] = slack_processor(edges)
        processors["slack_action"] = slack_actions(edges)
    return processors
