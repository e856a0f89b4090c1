"""A service that finds an older schema than its own: alive, not ready, and ready as soon as it is migrated."""

import asyncio
import os
import sys
from pathlib import Path

import httpx
from local_stack.ports import free_port
from shared_models import migrate

from tests.support.dispatcher import SECRETS_KEY, TOKEN_KEY
from tests.support.waiting import eventually


async def test_a_service_waits_without_traffic_until_the_schema_fits(empty_database_url: str, tmp_path: Path) -> None:
    await asyncio.to_thread(migrate.upgrade, empty_database_url, "0003")
    port, log = free_port(), tmp_path / "log"
    env = os.environ | {
        "PROFILE": "local",
        "PORT": str(port),
        "DATABASE_URL": empty_database_url,
        "DATABASE_ROLE": "ssa_integration_dispatcher",
        "SERVICE_TOKEN_KEY": TOKEN_KEY,
        "SECRETS_KEY": SECRETS_KEY,
    }
    with log.open("wb") as output:
        service = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "integration_dispatcher", env=env, stdout=output, stderr=output
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:

            async def status(path: str) -> int:
                assert service.returncode is None, log.read_text()
                try:
                    return (await http.get(path)).status_code
                except httpx.TransportError:
                    return 0

            async def is_alive() -> bool:
                return await status("/livez") == 200

            async def is_ready() -> bool:
                return await status("/readyz") == 200

            await eventually(is_alive)
            assert [await status(path) for path in ("/readyz", "/events", "/api/v1/deliveries")] == [503, 503, 503]
            assert "schema_is_old" in log.read_text()
            await asyncio.to_thread(migrate.upgrade, empty_database_url)
            await eventually(is_ready)
    finally:
        if service.returncode is None:
            service.terminate()
        await service.wait()
