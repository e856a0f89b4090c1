"""The API of integration settings: people's overrides, administrators' defaults, and what holds in the end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError
from shared_models.database import Database
from shared_models.enums import IntegrationType
from shared_models.errors import InvalidRequest, NotFound
from shared_models.integrations import (
    EffectiveIntegrationView,
    IntegrationBody,
    IntegrationDefaultBody,
    IntegrationDefaultView,
    IntegrationView,
)
from shared_models.schemas import Metadata
from shared_models.tokens import Acting

from integration_dispatcher.addresses import Addresses
from integration_dispatcher.domain.selection import Effective, Layer, by_priority
from integration_dispatcher.handlers.base import IntegrationConfig, IntegrationHandler, Settled
from integration_dispatcher.layers import NOTHING, Layers, owner
from integration_dispatcher.store import configs as store
from integration_dispatcher.store.configs import NewUserRow, Stored, UserRow
from integration_dispatcher.store.states import all_states
from integration_dispatcher.vault import CannotDecrypt

BY_ADMINISTRATOR = "An administrator switched it off."
UNKNOWN = "There is no such integration here."


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class IntegrationConfigs:
    """Every method raises NotFound for an integration without a handler."""

    database: Database
    layers: Layers
    addresses: Addresses
    now: Callable[[], datetime] = _now

    async def overrides(self, user_id: UUID) -> list[IntegrationView]:
        """What the person has set, nothing else."""
        stored = await store.for_user(self.database, user_id)
        found = [(each, stored.get(each, NOTHING).user) for each in self.layers.handlers]
        return [_view(each, user, user.config) for each, user in found if user is not None]

    async def get(self, user_id: UUID, integration: IntegrationType) -> IntegrationView:
        user = await self._user_row(user_id, integration)
        if user is None:
            raise NotFound
        return _view(integration, user, user.config)

    async def put(self, person: Acting, integration: IntegrationType, body: IntegrationBody) -> IntegrationView:
        """Replace the person's settings; `config` stays when it is not given. The reply alone shows a new secret.

        A new address is asked to prove itself at once. Raises InvalidRequest."""
        user_id = person.user_id
        handler = self._handler(integration)
        before = await self._user_row(user_id, integration)
        settled, secrets = self._settle(handler, user_id, integration, before, body)
        if body.enabled and not handler.is_set_up(settled.shown):
            raise InvalidRequest("config: say where to deliver before you switch this integration on")
        layer = Layer(body.enabled, body.priority, body.retry_count, body.retry_delay_seconds)
        new = NewUserRow(layer, settled.shown, secrets, handler.address(settled.shown))
        await store.put_user(self.database, user_id, integration, new)
        done = await self.addresses.begin(person, integration, await self._stored(user_id, integration))
        view = await self._verification(user_id, integration, done)
        return view.model_copy(update={"secret": settled.new_secret})

    async def verify(self, user_id: UUID, integration: IntegrationType, code: str) -> IntegrationView:
        """Raises Conflict, InvalidRequest."""
        self._handler(integration)
        await self.addresses.verify(user_id, integration, code)
        return await self.get(user_id, integration)

    async def send_code(self, user_id: UUID, integration: IntegrationType) -> IntegrationView:
        """Raises Conflict, TooManyRequests."""
        stored = await self._stored(user_id, integration)
        done = await self.addresses.send_again(user_id, integration, stored)
        return await self._verification(user_id, integration, done)

    async def _verification(self, user_id: UUID, integration: IntegrationType, done: str) -> IntegrationView:
        return (await self.get(user_id, integration)).model_copy(update={"verification": done})

    def _settle(
        self,
        handler: IntegrationHandler,
        user_id: UUID,
        integration: IntegrationType,
        before: UserRow | None,
        body: IntegrationBody,
    ) -> tuple[Settled, str | None]:
        """The settings to store, and their secrets encrypted."""
        if body.config is None:
            return Settled(shown=before.config if before else {}), before.secrets if before else None
        settled = handler.settle(body.config, self._known(user_id, integration, before), self.now())
        bound_to = owner(user_id, integration)
        return settled, self.layers.vault.seal(settled.hidden, bound_to) if settled.hidden else None

    def _known(self, user_id: UUID, integration: IntegrationType, before: UserRow | None) -> IntegrationConfig | None:
        """The settings so far; None where there are none, or their key is gone: then they are made anew."""
        if before is None:
            return None
        try:
            return self.layers.config(user_id, integration, Stored(user=before))
        except (CannotDecrypt, ValidationError):
            return None

    async def switch_off(self, user_id: UUID, integration: IntegrationType) -> IntegrationView:
        """An administrator may do this much to another person's settings, and sees no more of them."""
        self._handler(integration)
        await store.switch_off(self.database, user_id, integration, BY_ADMINISTRATOR)
        row = UserRow(Layer(enabled=False), {}, None, BY_ADMINISTRATOR, self.now())
        return _view(integration, row, {})

    async def delete(self, user_id: UUID, integration: IntegrationType) -> None:
        """Forget the person's settings: the defaults hold again."""
        self._handler(integration)
        if not await store.delete_user(self.database, user_id, integration):
            raise NotFound

    async def effective(self, user_id: UUID) -> list[EffectiveIntegrationView]:
        """What holds for the person, in the order in which `preferred` uses it."""
        known = self.layers.all_effective(await store.for_user(self.database, user_id))
        accounts = await all_states(self.database)
        paused = {each for each, account in accounts.items() if account.state == "paused"}
        return [_effective_view(each, each.integration in paused) for each in sorted(known, key=by_priority)]

    async def reset(self, user_id: UUID) -> list[EffectiveIntegrationView]:
        """Forget everything the person has set."""
        await store.reset_user(self.database, user_id)
        return await self.effective(user_id)

    async def defaults(self) -> list[IntegrationDefaultView]:
        stored = await store.for_user(self.database, None)
        return [self._default(each, stored.get(each, NOTHING)) for each in self.layers.handlers]

    async def default(self, integration: IntegrationType) -> IntegrationDefaultView:
        self._handler(integration)
        stored = await store.for_user(self.database, None)
        return self._default(integration, stored.get(integration, NOTHING))

    async def put_default(
        self, integration: IntegrationType, body: IntegrationDefaultBody, by: UUID
    ) -> IntegrationDefaultView:
        self._handler(integration)
        layer = Layer(body.enabled, body.priority, body.retry_count, body.retry_delay_seconds)
        await store.put_defaults(self.database, integration, layer, by)
        return await self.default(integration)

    async def delete_default(self, integration: IntegrationType) -> None:
        self._handler(integration)
        if not await store.delete_defaults(self.database, integration):
            raise NotFound

    def _default(self, integration: IntegrationType, stored: Stored) -> IntegrationDefaultView:
        each = self.layers.effective(integration, Stored(stored.administrator))
        return IntegrationDefaultView(
            integration=integration,
            enabled=each.enabled,
            priority=each.priority,
            retry_count=each.retry_count,
            retry_delay_seconds=each.retry_delay_s,
            source="administrator" if stored.administrator else "environment",
            updated_at=stored.administrator_at,
        )

    async def _stored(self, user_id: UUID, integration: IntegrationType) -> Stored:
        self._handler(integration)
        return (await store.for_user(self.database, user_id)).get(integration, NOTHING)

    async def _user_row(self, user_id: UUID, integration: IntegrationType) -> UserRow | None:
        return (await self._stored(user_id, integration)).user

    def _handler(self, integration: IntegrationType) -> IntegrationHandler:
        handler = self.layers.handlers.get(integration)
        if handler is None:
            raise NotFound(UNKNOWN)
        return handler


def _view(integration: IntegrationType, row: UserRow, config: Metadata) -> IntegrationView:
    return IntegrationView(
        integration=integration,
        enabled=bool(row.layer.enabled),
        config=config,
        priority=row.layer.priority,
        retry_count=row.layer.retry_count,
        retry_delay_seconds=row.layer.retry_delay_s,
        disabled_reason=row.disabled_reason,
        is_verified=row.is_verified,
        updated_at=row.updated_at,
    )


def _effective_view(each: Effective, is_paused: bool) -> EffectiveIntegrationView:
    return EffectiveIntegrationView(
        integration=each.integration,
        enabled=each.enabled,
        is_set_up=each.is_set_up,
        is_verified=each.is_verified,
        is_used=not each.refusal,
        reason=each.refusal,
        disabled_reason=each.disabled_reason,
        is_paused=is_paused,
        priority=each.priority,
        retry_count=each.retry_count,
        retry_delay_seconds=each.retry_delay_s,
        source=each.source,
    )
