"""After a change of SECRETS_KEY: seal every stored secret with the present key, so that the earlier one can be thrown away."""

import asyncio
from dataclasses import dataclass

from shared_models.database import Database
from shared_models.enums import IntegrationType
from shared_models.errors import Unavailable
from shared_models.logging import get_logger

from integration_dispatcher.layers import owner
from integration_dispatcher.store import configs
from integration_dispatcher.store.configs import Sealed
from integration_dispatcher.vault import CannotDecrypt, Vault

AGAIN_AFTER_S = 60.0

log = get_logger(__name__)


@dataclass(frozen=True)
class Resealing:
    """Safe to run in several processes at once, and to break off: each row is one step."""

    database: Database
    vault: Vault

    async def run(self) -> int:
        """Returns how many were sealed anew. What no key opens stays as it is; its person is told when it is used."""
        count, last = 0, None
        while rows := await configs.of_earlier_keys(self.database, self.vault.key_id, last):
            last = rows[-1]
            count += sum([await self._reseal(row) for row in rows])
        if count or last is not None:
            left = await self.left()
            log.info("secrets_resealed", count=count, left=left)
        return count

    async def left(self) -> int:
        """How many are still sealed with an earlier key: at 0 SECRETS_PREVIOUS_KEYS can be dropped."""
        return await configs.count_of_earlier_keys(self.database, self.vault.key_id)

    async def _reseal(self, row: Sealed) -> bool:
        bound_to = owner(row.user_id, IntegrationType(row.integration))
        try:
            values = self.vault.open(row.secrets, bound_to)
        except CannotDecrypt:
            return False
        return await configs.reseal(self.database, row, self.vault.seal(values, bound_to))

    async def run_once(self) -> None:
        """Until it has run through, whatever the database does."""
        while True:
            try:
                await self.run()
            except Unavailable:
                await asyncio.sleep(AGAIN_AFTER_S)
            except Exception:
                log.exception("resealing_failed")
                return
            else:
                return
