"""What the load client writes down of the answers it gets."""

import random
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from tests.chaos.client import Client, ClientJob
from tests.chaos.lines import Json, Lines, read_lines
from tests.chaos.people import ChaosPerson

ANA = ChaosPerson("ana", "a" * 16, "a key")
ASKED: Json = {"request_id": "r1", "session_id": "s"}
ENDED: Json = ASKED | {"status": "completed", "response": {"content": "Done."}, "error": None}
CANCELLED: Json = ASKED | {"status": "cancelled", "response": None, "error": {"message": "You cancelled it."}}


class Often(random.Random):
    """Each key is used twice."""

    def random(self) -> float:
        return 0.0


class Scripted(Client):
    answers: list[tuple[int, Json]]

    async def call(self, person: ChaosPerson, method: str, path: str, **given: Any) -> tuple[int, Json]:
        return self.answers.pop(0)


@pytest.fixture
def client(tmp_path: Path) -> Scripted:
    job = ClientJob(url="", folder=str(tmp_path), until="", seed=1, talkers=[], owners=[])
    return Scripted(job, cast("aiohttp.ClientSession", None), Lines(tmp_path / "ledger.jsonl"), Often())


def ledger(client: Client) -> list[Json]:
    return list(read_lines(Path(client.job.folder) / "ledger.jsonl"))


async def test_an_answer_is_written_down_with_its_words_and_times(client: Scripted) -> None:
    client.answers = [(200, ENDED), (202, ASKED | {"status": "processing"})]
    await client.ask(ANA, {"content": "Please"}, wait_s=0)
    accepted, repeated = ledger(client)
    assert accepted["told"] == {"status": "completed", "content": "Done."}
    assert accepted["canary"] == ANA.canary
    assert accepted["asked_at"] <= accepted["at"]
    assert (repeated["repeat_id"], repeated["status"]) == ("r1", 202)
    assert "told" not in repeated


async def test_a_repeat_that_is_refused_is_written_down(client: Scripted) -> None:
    client.answers = [(202, ASKED | {"status": "accepted"}), (409, {"code": "session_ended"})]
    await client.ask(ANA, {"content": "Please"}, wait_s=0)
    repeated = ledger(client)[1]
    assert (repeated["repeat_id"], repeated["status"], repeated["code"]) == ("", 409, "session_ended")


async def test_a_cancel_and_a_close_are_written_down(client: Scripted) -> None:
    state = ASKED | {"status": "cancelled"}
    client.answers = [(200, state), (404, {"code": "not_found"}), (200, {"session_id": "s", "status": "closing"})]
    await client._cancel(ANA, "r1")
    await client._cancel(ANA, "r1")
    await client._close(ANA, "s")
    done, refused, closed = ledger(client)
    assert done["told"] == {"status": "cancelled"}
    assert (refused["status"], "told" in refused) == (404, False)
    assert (closed["status"], closed["state"], "told" in closed) == (200, "closing", False)


async def test_what_a_person_reads_of_an_end_without_an_answer_is_written_down(client: Scripted) -> None:
    client.answers = [(200, CANCELLED)]
    await client._ended(ANA, "r1")
    assert ledger(client)[0]["told"] == {"status": "cancelled", "content": "You cancelled it."}
