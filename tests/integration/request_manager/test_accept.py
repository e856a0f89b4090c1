"""Asking: recorded once and for good, answered in the reply or later, in the right conversation."""

from tests.support.request_manager import Replica, Someone, Stage


async def test_a_question_is_answered_in_the_reply(replica: Replica, ana: Someone) -> None:
    reply = await replica.ask(ana, "Where is my laptop?", metadata={"b": 1, "a": [1.0, None, "ü"]})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["status"] == "completed"
    assert body["response"]["content"] == "You said: Where is my laptop?"
    assert body["metadata"] == {"b": 1, "a": [1.0, None, "ü"]}
    result = await replica.get(ana, f"/api/v1/requests/{body['request_id']}/result")
    assert result.content == reply.content
