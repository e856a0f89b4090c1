"""Any entry's body becomes one kind of request."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from request_manager.domain.callers import Caller
from request_manager.domain.normalizer import ENTRIES, MAX_EXTRA_BYTES, Arrival, IncomingRequest, normalize
from shared_models.api import (
    CliRequest,
    EmailRequest,
    GenericRequest,
    RequestBody,
    SlackRequest,
    ToolRequest,
    WebRequest,
    check_json,
)
from shared_models.enums import CallerKind, DeliveryPolicy, IntegrationType
from shared_models.errors import InvalidRequest

USER = UUID(int=1)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SLACK = {"user_id": USER, "channel_id": "C1", "slack_user_id": "U1", "slack_team_id": "T1"}
MAIL = {"user_id": USER, "email_from": "ana@example.com", "message_id": "<1@x>"}
TOOL = {"user_id": USER, "tool_id": "hr"}


def incoming(body: RequestBody, *, key: str | None = None, caller_id: str = "user:1") -> IncomingRequest:
    caller = Caller(CallerKind.PERSON, caller_id)
    return normalize(body, Arrival(uuid4(), caller, USER, NOW, NOW + timedelta(hours=24), key))


def test_content_is_kept_to_the_letter() -> None:
    content = "  two  spaces\n\u00e9\u0301 \U0001f4bb\t"
    assert incoming(WebRequest(content=content)).content == content


@pytest.mark.parametrize(
    ("body", "mode", "targets"),
    [
        (GenericRequest(content="x"), None, None),
        (CliRequest(content="x", integration_type=IntegrationType.CLI), None, None),
        (WebRequest(content="x", integration_type=IntegrationType.WEBHOOK), "targets", ["webhook"]),
        (WebRequest(content="x", deliver_to=["webhook", "email"]), "targets", ["webhook", "email"]),
        (
            WebRequest(content="x", deliver_to=["email"], integration_type=IntegrationType.EMAIL),
            "targets",
            ["email"],
        ),
        (WebRequest(content="x", deliver_to=["preferred"]), "preferred", []),
        (ToolRequest(content="x", **TOOL), "preferred", []),
        (ToolRequest(content="x", deliver_to=["slack"], **TOOL), "targets", ["slack"]),
        (SlackRequest(content="x", **SLACK), "origin", ["slack"]),
        (SlackRequest(content="x", integration_type=IntegrationType.SLACK, **SLACK), "origin", ["slack"]),
        (SlackRequest(content="x", deliver_to=["email"], **SLACK), "targets", ["email"]),
        (EmailRequest(content="x", **MAIL), "origin", ["email"]),
    ],
)
def test_where_an_answer_goes(body: RequestBody, mode: str | None, targets: list[str] | None) -> None:
    wish = incoming(body).delivery
    assert (wish.mode if wish else None, wish.targets if wish else None) == (mode, targets)


def test_one_target_may_be_given_as_a_word() -> None:
    body = GenericRequest.model_validate({"content": "x", "deliver_to": "email", "delivery_policy": "all"})
    wish = incoming(body).delivery
    assert wish is not None
    assert (wish.targets, wish.policy) == ([IntegrationType.EMAIL], DeliveryPolicy.ALL)


@pytest.mark.parametrize(
    "body",
    [
        WebRequest(content="x", deliver_to=["email"], integration_type=IntegrationType.WEBHOOK),
        WebRequest(content="x", deliver_to=["email", "webhook"], integration_type=IntegrationType.EMAIL),
        WebRequest(content="x", integration_type=IntegrationType.CLI),
        WebRequest(content="x", deliver_to=["email"], integration_type=IntegrationType.WEB),
    ],
)
def test_wishes_that_contradict_each_other_are_refused(body: RequestBody) -> None:
    with pytest.raises(InvalidRequest):
        incoming(body)


def test_metadata_and_context_together_have_room_in_an_event_or_are_refused() -> None:
    half = "x" * (MAX_EXTRA_BYTES // 2 - 50)
    request = incoming(CliRequest(content="x", metadata={"m": half}, command_context={"c": half}))
    assert (request.metadata["m"], request.context["command_context"]) == (half, {"c": half})
    with pytest.raises(InvalidRequest, match="256 KiB"):
        incoming(CliRequest(content="x", metadata={"m": half}, command_context={"c": half + "x" * 100}))


def test_a_conversation_has_one_key() -> None:
    keys = {
        "thread": incoming(SlackRequest(content="x", thread_id="1.2", **SLACK)).conversation_key,
        "channel": incoming(SlackRequest(content="x", **SLACK)).conversation_key,
        "direct": incoming(SlackRequest(content="x", **SLACK | {"channel_id": "D1"}, thread_id="1.2")).conversation_key,
        "mail": incoming(EmailRequest(content="x", **MAIL)).conversation_key,
        "reply": incoming(EmailRequest(content="x", **MAIL, in_reply_to="<0@x>")).conversation_key,
        "thread of mails": incoming(
            EmailRequest(content="x", **MAIL, in_reply_to="<2@x>", references=["<0@x>", "<2@x>"])
        ).conversation_key,
        "tool": incoming(ToolRequest(content="x", **TOOL, tool_instance_id="7"), caller_id="tool:1").conversation_key,
        "tool without instance": incoming(ToolRequest(content="x", **TOOL)).conversation_key,
        "web": incoming(WebRequest(content="x")).conversation_key,
    }
    assert keys == {
        "thread": "slack:T1:C1:1.2",
        "channel": "slack:T1:C1",
        "direct": "slack:T1:D1",
        "mail": "email:<1@x>",
        "reply": "email:<0@x>",
        "thread of mails": "email:<0@x>",
        "tool": "tool:1:hr:7",
        "tool without instance": "",
        "web": "",
    }


def test_long_keys_fit_the_index_and_stay_apart() -> None:
    references = [["<" + "\U0001f4bb" * 900 + f"{n}@x>"] for n in (1, 2)]
    keys = [incoming(EmailRequest(content="x", **MAIL, references=each)).conversation_key for each in references]
    assert keys[0] != keys[1]
    assert all(len(key.encode()) < 300 for key in keys)


def test_the_entrys_own_fields_travel_and_secrets_do_not() -> None:
    body = WebRequest(content="x", session_token="secret", client_ip="10.0.0.1", metadata={"a": 1})
    request = incoming(body)
    assert request.context == {"client_ip": "10.0.0.1"}
    assert request.metadata == {"a": 1}
    slack = incoming(SlackRequest(content="x", **SLACK))
    assert slack.delivery is not None
    assert (
        slack.context
        == slack.delivery.context
        == {
            "channel_id": "C1",
            "slack_user_id": "U1",
            "slack_team_id": "T1",
        }
    )


def test_only_asking_for_the_state_and_stopping_overtake() -> None:
    assert [
        word for word in ("status", "/cancel", "Stop!", "new", "help", "status of my laptop") if overtakes(word)
    ] == [
        "status",
        "/cancel",
        "Stop!",
    ]


def overtakes(content: str) -> bool:
    return incoming(GenericRequest(content=content)).overtakes


def test_equal_bodies_have_equal_hashes_whatever_their_order() -> None:
    bodies: list[dict[str, Any]] = [
        {"content": "x", "metadata": {"a": 1, "b": {"c": 1, "d": 2}}},
        {"metadata": {"b": {"d": 2, "c": 1}, "a": 1}, "content": "x"},
    ]
    hashes = {incoming(GenericRequest.model_validate(body), key="k").body_hash for body in bodies}
    assert len(hashes) == 1
    others: list[RequestBody] = [WebRequest(content="x"), GenericRequest(content="x "), GenericRequest(content="x")]
    assert len({incoming(body, key="k").body_hash for body in others}) == 3
    assert incoming(GenericRequest(content="x")).body_hash is None


def test_every_entry_has_its_integration() -> None:
    assert set(ENTRIES) == set(RequestBody.__subclasses__())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: st.lists(children) | st.dictionaries(st.text(st.characters()), children),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters()), VALUES))
def test_whatever_metadata_is_taken_can_be_stored_and_sent(metadata: dict[str, Any]) -> None:

    try:
        body = GenericRequest.model_validate({"content": "x", "metadata": metadata})
    except ValidationError:
        return
    text = orjson.dumps(body.metadata).decode()
    assert "\\u0000" not in text
    assert orjson.loads(text) == body.metadata


def test_values_nest_only_so_deep() -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        check_json(value)
