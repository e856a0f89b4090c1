from shared_models.database import Database

from tests.load.claims import claims_behind


async def test_claims_behind_a_long_lane_are_measured_and_leave_nothing(database_url: str) -> None:
    took_ms = await claims_behind(database_url, rows=200, rounds=5)
    assert len(took_ms) == 5
    database = Database(database_url)
    await database.open()
    assert await database.fetchval("select count(*) from work_items") == 0
    await database.close()
