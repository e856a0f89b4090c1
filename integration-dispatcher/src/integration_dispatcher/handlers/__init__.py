"""The list of integrations. To add one: write its file here beside the others, and add its line below."""

from shared_models.enums import IntegrationType

from integration_dispatcher.handlers.base import Edges, IntegrationHandler
from integration_dispatcher.handlers.test import TestIntegrationHandler
from integration_dispatcher.handlers.webhook import WebhookIntegrationHandler

type Handlers = dict[IntegrationType, IntegrationHandler]


def all_handlers(edges: Edges) -> Handlers:
    """Those that are set up. One that needs settings is added only when they are there, and imported only then."""
    settings = edges.settings
    handlers: Handlers = {
        IntegrationType.WEBHOOK: WebhookIntegrationHandler(edges.guarded_http, public_url=settings.public_url),
        IntegrationType.TEST: TestIntegrationHandler(edges.keep_test_message, enabled=settings.is_local),
    }
    if settings.has_slack:
        # Imported here: the Markdown parser and Slack's rules cost a process nothing that has no Slack.
        from integration_dispatcher.handlers.slack import slack_handler

        handlers[IntegrationType.SLACK] = slack_handler(edges)
    if settings.sends_mail:
        # Imported here: templates, the Markdown parser and SMTP cost a process nothing that sends no mail.
        from integration_dispatcher.handlers.email import email_handler

        handlers[IntegrationType.EMAIL] = email_handler(edges)
    if settings.sms is not None:
        # Imported here: phonenumbers and the Markdown parser take some MB, and a tenth of a second of a start.
        from integration_dispatcher.handlers.sms import sms_handler

        handlers[IntegrationType.SMS] = sms_handler(edges, settings.sms)
    return handlers
