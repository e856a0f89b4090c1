"""A start that finds its database too slow to warm up goes on without."""

from typing import Any

import pytest
import request_manager.app
from shared_models.errors import Unavailable

from tests.support.request_manager import stage


async def unreachable(*_: Any) -> None:
    raise Unavailable


async def test_a_database_that_is_too_slow_to_warm_up_does_not_stop_the_start(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_manager.app, "warm_up", unreachable)
    async with stage(database_url) as made, made.replica() as replica:
        assert (await replica.ask(await made.person())).status_code == 200
