"""What holds for a person and an integration: the handler's values, the environment, the administrator's row, the person's."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from shared_models.enums import IntegrationType

from integration_dispatcher.domain.selection import Defaults, Effective, effective
from integration_dispatcher.handlers import Handlers
from integration_dispatcher.handlers.base import IntegrationConfig
from integration_dispatcher.settings import GivenDefaults
from integration_dispatcher.store.configs import Stored
from integration_dispatcher.vault import Vault

NOTHING = Stored()


class Layers:
    """Built once; `given` is what the environment says."""

    def __init__(self, handlers: Handlers, given: Mapping[IntegrationType, GivenDefaults], vault: Vault) -> None:
        self.handlers = handlers
        self.vault = vault
        self.base = {each: _base(handler.defaults, given.get(each)) for each, handler in handlers.items()}

    def effective(self, integration: IntegrationType, stored: Stored) -> Effective:
        user = stored.user
        found = effective(
            integration,
            self.base[integration],
            administrator=stored.administrator,
            user=user.layer if user else None,
            is_stopped=user is not None and user.is_stopped,
            is_set_up=self.handlers[integration].is_set_up(user.config if user else {}),
            is_verified=user.is_verified if user else True,
        )
        return replace(found, disabled_reason=user.disabled_reason if user else "")

    def all_effective(self, stored: Mapping[str, Stored]) -> list[Effective]:
        return [self.effective(each, stored.get(each, NOTHING)) for each in self.handlers]

    def config(self, user_id: UUID, integration: IntegrationType, stored: Stored) -> IntegrationConfig:
        """The person's settings with their secrets. Raises CannotDecrypt."""
        user = stored.user
        hidden = self.vault.open(user.secrets, owner(user_id, integration)) if user and user.secrets else {}
        return self.handlers[integration].config_type.model_validate({**(user.config if user else {}), **hidden})


def owner(user_id: UUID, integration: IntegrationType) -> str:
    """What a stored secret is bound to."""
    return f"{user_id}/{integration.value}"


def _base(own: Defaults, given: GivenDefaults | None) -> Defaults:
    if given is None:
        return own
    return Defaults(
        enabled=own.enabled if given.enabled is None else given.enabled,
        priority=own.priority if given.priority is None else given.priority,
        retry_count=own.retry_count if given.retry_count is None else given.retry_count,
        retry_delay_s=own.retry_delay_s if given.retry_delay_seconds is None else given.retry_delay_seconds,
    )
