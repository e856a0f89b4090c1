"""What must have gone through the broker for what the database tells of."""

import httpx
import pytest
from shared_models.events import EventType

from tests.support.ingress import Ingress, promised
from tests.support.modes import Mode


def test_an_answer_was_asked_for_and_told_and_a_cancelled_request_at_least_told() -> None:
    assert promised([("1", "completed"), ("2", "cancelled")], []) == {
        (EventType.REQUEST_CREATED, "1"),
        (EventType.RESPONSE_READY, "1"),
        (EventType.RESPONSE_READY, "2"),
    }


def test_a_delivery_is_told_as_it_ended() -> None:
    assert promised([], [("1", "delivered"), ("1", "failed")]) == {
        (EventType.DELIVERY_SUCCEEDED, "1"),
        (EventType.DELIVERY_FAILED, "1"),
    }


async def test_in_direct_mode_a_single_event_is_one_too_many() -> None:
    ingress = Ingress(Mode.DIRECT, None)
    await ingress.check("")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(ingress), base_url="http://broker") as http:
        await http.post("/default/any", headers={"ce-type": EventType.RESPONSE_READY, "ce-requestid": "1"})
    assert ingress.seen == {(EventType.RESPONSE_READY, "1")}
    with pytest.raises(AssertionError, match="nothing goes to a broker"):
        await ingress.check("")
