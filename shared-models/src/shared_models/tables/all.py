"""Every table, imported once so that `Base.metadata` is complete."""

from shared_models.tables import agent_service, engine, integration_dispatcher, knowledge, request_manager, sms
from shared_models.tables.base import Base

__all__ = ["Base", "agent_service", "engine", "integration_dispatcher", "knowledge", "request_manager", "sms"]
