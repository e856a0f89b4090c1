"""Now and then: end the runs that nobody will finish, and remove what has had its time."""

import asyncio
from dataclasses import dataclass

from shared_models.database import Database
from shared_models.enums import RequestStatus
from shared_models.errors import Unavailable
from shared_models.logging import get_logger
from shared_models.schemas import NormalizedRequest
from shared_models.work_item import WorkItem
from shared_models.work_statements import REMOVE_IDLE_LANES

from agent_service.domain.answers import BROKEN
from agent_service.ending import Ending
from agent_service.store import live, sweep

log = get_logger(__name__)


@dataclass(frozen=True)
class Upkeep:
    """Safe to run in every process at once."""

    database: Database
    ending: Ending
    every_s: float

    async def end_dead(self, _item: WorkItem | None = None, _reason: str = "") -> None:
        """A run whose row was given up, or whose workers died again and again, ends as failed: the person is told."""
        for row in await sweep.dead_runs(self.database):
            request = NormalizedRequest.read(row)
            log.error("run_given_up", request_id=str(request.request_id))
            await self.ending.end(request, RequestStatus.FAILED, BROKEN)

    async def sweep(self) -> None:
        await self.end_dead()
        await live.remove_old(self.database)
        await self.database.execute(REMOVE_IDLE_LANES)

    async def sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.every_s)
            try:
                await self.sweep()
            except Unavailable:
                log.warning("sweep_skipped", cause="database")
            except Exception:
                log.exception("sweep_failed")
