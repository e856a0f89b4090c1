"""The list of integrations. To add one: write its file here beside the others, and add its line below."""

from shared_models.enums import IntegrationType

from integration_dispatcher.handlers.base import Edges, IntegrationHandler
from integration_dispatcher.handlers.test import TestIntegrationHandler
from integration_dispatcher.handlers.webhook import WebhookIntegrationHandler

type Handlers = dict[IntegrationType, IntegrationHandler]


def all_handlers(edges: Edges) -> Handlers:
    return {
        IntegrationType.WEBHOOK: WebhookIntegrationHandler(edges.guarded_http, public_url=edges.public_url),
        IntegrationType.TEST: TestIntegrationHandler(edges.keep_test_message, enabled=edges.is_local),
    }
