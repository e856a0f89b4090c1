"""The closed word lists that cross a service border or stand in a table."""

from enum import StrEnum


class IntegrationType(StrEnum):
    """Where a request comes from, or where an answer goes."""

    SLACK = "slack"
    WEB = "web"
    CLI = "cli"
    TOOL = "tool"
    EMAIL = "email"
    SMS = "sms"
    WEBHOOK = "webhook"
    GENERIC = "generic"
    TEST = "test"


DELIVERY_INTEGRATIONS = (
    IntegrationType.SLACK,
    IntegrationType.EMAIL,
    IntegrationType.WEBHOOK,
    IntegrationType.SMS,
    IntegrationType.TEST,
)
"""Integrations that an answer can be delivered to."""


class RequestStatus(StrEnum):
    """States of a request, in the order in which they may follow each other."""

    ACCEPTED = "accepted"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_end(self) -> bool:
        return self not in (RequestStatus.ACCEPTED, RequestStatus.PROCESSING)


class SessionStatus(StrEnum):
    ACTIVE = "active"
    CLOSING = "closing"
    CLOSED = "closed"
    EXPIRED = "expired"


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        return self not in (DeliveryStatus.PENDING, DeliveryStatus.RETRYING)


class DeliveryPolicy(StrEnum):
    FIRST_SUCCESS = "first_success"
    ALL = "all"


class Role(StrEnum):
    """What a person may do besides using the product for themselves."""

    USER = "user"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


class Scope(StrEnum):
    """What an API key may be used for."""

    REQUESTS_READ = "requests:read"
    REQUESTS_WRITE = "requests:write"
    SESSIONS = "sessions"
    ACCOUNT = "account"


class CallerKind(StrEnum):
    PERSON = "person"
    TOOL = "tool"
    SERVICE = "service"
    BROKER = "broker"


class ServiceName(StrEnum):
    """Who carries a service token. The broker is a machine caller as well: it brings events, and is nobody's client otherwise."""

    REQUEST_MANAGER = "request-manager"
    AGENT_SERVICE = "agent-service"
    INTEGRATION_DISPATCHER = "integration-dispatcher"
    BROKER = "broker"
