"""What tests may do to deliveries: repeat them, mix the keys, lose the answers, hold everything, and the same by the same seed."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from local_stack.broker.knobs import Knobs
from pydantic import ValidationError
from starlette.responses import Response

from tests.support.broker import ORDERED, Json, Receiver, broker, running_broker, running_receiver, trigger

DELIVERY = {"retry": 20, "backoffPolicy": "linear", "backoffDelay": "PT0.001S", "timeout": "PT60S"}
OBJECTS: Sequence[Json] = [broker(), trigger("t", "/in", delivery=DELIVERY, annotations=ORDERED)]
KEYS = [f"key-{number}" for number in range(6)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


async def sent_with(
    knobs: Knobs, database_url: str, folder: Path, receiver: Receiver, *, per_key: int = 5
) -> list[str]:
    """Send events of several keys, in turn. Returns the ids as they came, once more for each repeat."""
    async with running_broker(database_url, folder, OBJECTS, receiver) as running:
        running.broker.set_knobs(knobs)
        before = len(receiver.received)
        for number in range(per_key):
            for key in KEYS:
                await running.send(id=f"{key}/{number}", partitionkey=key)
        await running.idle()
        return receiver.ids("/in")[before:]


def of_key(ids: list[str], key: str) -> list[str]:
    return [event_id for event_id in ids if event_id.startswith(f"{key}/")]


def in_turn(key: str, *, times: int = 1, per_key: int = 5) -> list[str]:
    return [f"{key}/{number}" for number in range(per_key) for _ in range(times)]


async def test_every_event_is_delivered_once_more_for_each_copy(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    ids = await sent_with(Knobs(copies=1), empty_database_url, tmp_path, receiver)
    assert all(of_key(ids, key) == in_turn(key, times=2) for key in KEYS)


@pytest.mark.parametrize(("second", "third", "refused"), [(202, 202, 0), (400, 202, 1), (503, 202, 0), (503, 400, 1)])
async def test_a_copy_is_tried_again_as_its_event_would_be_and_counted_when_it_is_refused(
    empty_database_url: str, tmp_path: Path, receiver: Receiver, second: int, third: int, refused: int
) -> None:
    answers = iter((202, second, third))
    receiver.scripts["/in"] = lambda _received: Response(status_code=next(answers))
    async with running_broker(empty_database_url, tmp_path, OBJECTS, receiver) as running:
        running.broker.set_knobs(Knobs(copies=1))
        await running.send(id="a")
        await running.idle()
        counts = running.broker.counts
        assert (counts["copies"], counts["copies_refused"], counts["dead_letters"]) == (1, refused, 0)


async def test_keys_overtake_each_other_but_never_themselves(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    knobs = Knobs(mix_window_s=1, delay_s=0.02, seed=3)  # the window must hold several keys also where sending is slow
    ids = await sent_with(knobs, empty_database_url, tmp_path, receiver, per_key=2)
    assert all(of_key(ids, key) == in_turn(key, per_key=2) for key in KEYS)
    assert ids != [f"{key}/{number}" for number in range(2) for key in KEYS]


async def test_an_answer_that_is_lost_has_the_event_delivered_again(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    ids = await sent_with(Knobs(lost_answers=0.5, seed=1), empty_database_url, tmp_path, receiver)
    assert len(ids) > len(KEYS) * 5
    assert all(list(dict.fromkeys(of_key(ids, key))) == in_turn(key) for key in KEYS)


async def test_the_same_seed_loses_the_same_answers(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    async def repeats(seed: int) -> list[str]:
        knobs = Knobs(lost_answers=0.5, seed=seed)
        async with running_broker(empty_database_url, tmp_path, OBJECTS, receiver) as running:
            running.broker.set_knobs(knobs)
            before = len(receiver.received)
            for number in range(10):
                await running.send(id=str(number), partitionkey="k")
            await running.idle()
            return receiver.ids("/in")[before:]

    first, second, other = await repeats(11), await repeats(11), await repeats(12)
    assert first == second
    assert first != other


async def test_nothing_is_sent_while_the_broker_is_paused(
    empty_database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    async with running_broker(empty_database_url, tmp_path, OBJECTS, receiver) as running:
        running.broker.set_knobs(Knobs(is_paused=True))
        ids = [await running.send(partitionkey="k") for _ in range(3)]
        assert (receiver.received, running.broker.held, running.broker.is_idle) == ([], 3, False)
        running.broker.set_knobs(Knobs())
        await running.idle()
        assert receiver.ids("/in") == ids


@pytest.mark.parametrize("wrong", [{"copies": -1}, {"lost_answers": 1}, {"unknown": 1}])
def test_knobs_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Knobs.model_validate(wrong)
