"""The accounts of integrations at their providers: checked every minute by one replica, paused when refused, resumed when well.

Nothing is probed per delivery: what the last check found is what everybody reads."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shared_models.database import Database
from shared_models.enums import IntegrationType
from shared_models.errors import NotFound, Unavailable
from shared_models.integrations import IntegrationHealthView
from shared_models.logging import get_logger
from shared_models.telemetry import INTEGRATION_OK, INTEGRATION_PAUSED

from integration_dispatcher.domain.redaction import safe_words
from integration_dispatcher.handlers import Handlers
from integration_dispatcher.handlers.base import DeliveryDelayed, IntegrationHandler, IntegrationPaused
from integration_dispatcher.store import states
from integration_dispatcher.store.states import Refusal

PROBE_WITHIN_S = 10.0
NO_ANSWER = "The provider did not answer in time."
UNEXPECTED = "The check failed because of an error on our side."

log = get_logger(__name__)


@dataclass(frozen=True)
class Accounts:
    """`wake`: have this process and the others look for due deliveries."""

    database: Database
    handlers: Handlers
    wake: Callable[[], None]

    async def check_all(self, every_s: float) -> None:
        """Check those whose turn it is, each by one replica."""
        await asyncio.gather(*(self._check_in_turn(each, every_s) for each in self.handlers))

    async def _check_in_turn(self, integration: IntegrationType, every_s: float) -> None:
        if await states.claim_check(self.database, integration, every_s):
            await self.check(integration)

    async def check(self, integration: IntegrationType) -> None:
        """Ask the provider, and write down what it said."""
        try:
            async with asyncio.timeout(PROBE_WITHIN_S):
                await self.handlers[integration].probe()
        except IntegrationPaused as exc:
            await self.refused(integration, exc)
        except DeliveryDelayed as exc:
            await states.failing(self.database, integration, Refusal(safe_words(exc.reason), exc.code))
        except TimeoutError:
            await states.failing(self.database, integration, Refusal(NO_ANSWER))
        except Exception:
            log.exception("integration_check_failed", integration=integration.value)
            await states.failing(self.database, integration, Refusal(UNEXPECTED))
        else:
            await self._works(integration)

    async def refused(self, integration: IntegrationType, refusal: IntegrationPaused) -> Refusal:
        """The provider refuses the account: deliveries wait from now on."""
        known = Refusal(safe_words(refusal.reason), refusal.code, safe_words(refusal.words))
        if await states.pause(self.database, integration, known):
            log.error("integration_paused", integration=integration.value, cause=known.reason, code=known.code)
        return known

    async def resume(self, integration: IntegrationType) -> IntegrationHealthView:
        """An operator says that the account works again: what waits is tried now. Raises NotFound."""
        self._handler(integration)
        await self._works(integration)
        return await self.health_of(integration)

    async def _works(self, integration: IntegrationType) -> None:
        if await states.works(self.database, integration):
            log.info("integration_resumed", integration=integration.value)
            self.wake()

    async def health(self) -> list[IntegrationHealthView]:
        """Of every integration that is set up here."""
        known = await states.all_states(self.database)
        return [known.get(each, IntegrationHealthView(integration=each)) for each in self.handlers]

    async def health_of(self, integration: IntegrationType) -> IntegrationHealthView:
        """Raises NotFound."""
        self._handler(integration)
        return next(each for each in await self.health() if each.integration is integration)

    async def refresh_gauges(self) -> None:
        for each in await self.health():
            INTEGRATION_PAUSED.labels(each.integration.value).set(each.state == "paused")
            INTEGRATION_OK.labels(each.integration.value).set(each.state in ("ok", "unknown"))

    async def watch(self, every_s: float) -> None:
        """Check for ever."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.check_all(every_s)
            except Unavailable:
                log.warning("integration_check_failed", cause="Unavailable")
            except Exception:
                log.exception("integration_check_failed")

    def _handler(self, integration: IntegrationType) -> IntegrationHandler:
        if integration not in self.handlers:
            raise NotFound
        return self.handlers[integration]
