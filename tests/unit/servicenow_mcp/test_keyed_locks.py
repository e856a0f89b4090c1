import asyncio

from servicenow_mcp.locks import KeyedLocks


async def test_work_with_the_same_key_runs_one_after_the_other() -> None:
    locks, running, most = KeyedLocks(), 0, 0

    async def work() -> None:
        nonlocal running, most
        async with locks.hold("a"):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(work() for _ in range(20)))
    assert most == 1
    assert len(locks) == 0


async def test_another_key_never_waits() -> None:
    locks = KeyedLocks()
    async with locks.hold("a"), locks.hold("b"):
        assert len(locks) == 2
    assert len(locks) == 0


async def test_a_failure_or_a_cancelled_wait_leaves_no_lock_behind() -> None:
    locks = KeyedLocks()
    async with locks.hold("a"):
        waiting = asyncio.create_task(_hold(locks))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert len(locks) == 0


async def _hold(locks: KeyedLocks) -> None:
    async with locks.hold("a"):
        raise AssertionError("never reached")
