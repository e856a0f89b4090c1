"""Slack's three addresses: only what Slack has signed, only now, only once it is stored, and quickly told otherwise."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from integration_dispatcher import slack_door
from integration_dispatcher.slack_door import RECORD_WITHIN_S
from integration_dispatcher.store import inbound as store
from pydantic import SecretStr
from shared_models.database import STATEMENT_TIMEOUT_S
from slack_sdk.signature import Clock
from structlog.testing import capture_logs

from tests.support.slack_in import FORM, JSON, SECRET, TEAM, SlackIn, envelope, message, slack_in, slack_settings
from tests.support.slack_signing import sign

PATHS = ("/slack/events", "/slack/commands", "/slack/interactive")
PRESS = {
    "type": "block_actions",
    "token": "old",
    "team": {"id": TEAM},
    "user": {"id": "U1"},
    "trigger_id": "1.2.a",
    "actions": [{"action_id": "ssa_confirm", "value": "{}", "type": "button"}],
}
MODAL = {
    "type": "view_submission",
    "team": {"id": TEAM},
    "user": {"id": "U1"},
    "trigger_id": "1.2.b",
    "view": {"type": "modal", "id": "V1", "hash": "1", "callback_id": "ssa_feedback_reason", "state": {"values": {}}},
}


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[SlackIn]:
    async with slack_in(slack_settings(database_url)) as world:
        yield world


def bodies() -> list[tuple[str, bytes, str]]:
    """One valid body for each address, with its content type."""
    form = {"command": "/it", "text": "hello", "team_id": TEAM, "user_id": "U1", "trigger_id": "1.2.c"}
    return [
        (PATHS[0], json.dumps(message("hello")).encode(), JSON),
        (PATHS[1], urlencode(form).encode(), FORM),
        (PATHS[2], urlencode({"payload": json.dumps(PRESS)}).encode(), FORM),
    ]


async def test_none_of_a_thousand_requests_with_one_changed_byte_is_taken(world: SlackIn) -> None:
    """Bytes of the body, of the time stamp and of the signature, on all three addresses."""
    chance = random.Random(4)
    signed = [(path, body, sign(body, secret=SECRET) | {"content-type": kind}) for path, body, kind in bodies()]
    statuses: dict[int, int] = {}
    for number in range(1000):
        path, body, headers = signed[number % 3]
        headers, changed = dict(headers), bytearray(body)
        which = chance.choice(["body", "body", "x-slack-request-timestamp", "x-slack-signature"])
        target = changed if which == "body" else bytearray(headers[which].encode())
        place = chance.randrange(len(target))
        target[place] = chance.choice([byte for byte in range(256) if byte != target[place]])
        sent = [(name.encode(), bytes(target) if name == which else value.encode()) for name, value in headers.items()]
        reply = await world.dispatcher.http.post(path, content=bytes(changed), headers=sent)
        statuses[reply.status_code] = statuses.get(reply.status_code, 0) + 1
        assert reply.headers["x-slack-no-retry"] == "1"
    assert statuses == {401: 1000}
    assert await world.rows() == []


@pytest.mark.parametrize(("age_s", "status"), [(299, 200), (301, 401), (-299, 200), (-301, 401)])
async def test_a_signature_holds_for_five_minutes(
    world: SlackIn, monkeypatch: pytest.MonkeyPatch, age_s: int, status: int
) -> None:
    now = int(time.time())
    monkeypatch.setattr(Clock, "now", lambda _self: float(now))
    for path, body, kind in bodies():
        reply = await world.post(path, body, kind, at=now - age_s)
        assert reply.status_code == status
    assert len(await world.rows()) == (3 if status == 200 else 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-slack-signature": ""},
        {"x-slack-request-timestamp": ""},
        {"x-slack-request-timestamp": "now"},
        {"x-slack-request-timestamp": "-1"},
        {"x-slack-request-timestamp": "9" * 400},
        {"x-slack-signature": "v0="},
        {"x-slack-signature": "v0=" + "é" * 64},
    ],
)
async def test_empty_and_odd_headers_are_no_signature_and_no_error(world: SlackIn, headers: dict[str, str]) -> None:
    for path, body, kind in bodies():
        sent = sign(body, secret=SECRET) | headers | {"content-type": kind}
        raw = [(name.encode(), value.encode()) for name, value in sent.items()]
        reply = await world.dispatcher.http.post(path, content=body, headers=raw)
        assert (reply.status_code, reply.headers["x-slack-no-retry"]) == (401, "1")
        assert (await world.dispatcher.http.post(path, content=body)).status_code == 401
    assert await world.rows() == []


@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b"payload=%7B", b"\xff\xfe", b"null", b"{}", b"", b"ssl_check=1&token=x"]
)
async def test_what_is_signed_and_not_slacks_is_refused_for_good(world: SlackIn, body: bytes) -> None:
    for path in PATHS:
        for kind in (JSON, FORM):
            reply = await world.post(path, body, kind)
            assert reply.status_code in (400, 401, 404)
            assert reply.headers["x-slack-no-retry"] == "1"
    assert await world.rows() == []


async def test_a_body_beyond_the_limit_is_not_read(world: SlackIn) -> None:
    reply = await world.post("/slack/events", b"x" * (1024 * 1024 + 1), JSON)
    assert reply.status_code == 413
    assert await world.rows() == []


async def test_the_address_is_confirmed_to_slack_alone(world: SlackIn) -> None:
    body = json.dumps({"type": "url_verification", "token": "old", "challenge": "3eZbrw1a"}).encode()
    reply = await world.dispatcher.http.post("/slack/events", content=body, headers={"content-type": JSON})
    assert (reply.status_code, "3eZbrw1a" in reply.text) == (401, False)
    reply = await world.post("/slack/events", body, JSON)
    assert (reply.status_code, reply.json()) == (200, {"challenge": "3eZbrw1a"})


async def test_presses_and_modals_are_recorded_once_without_the_token_and_close_at_once(world: SlackIn) -> None:
    await world.dispatcher.parts.inbox.queue.stop()
    for payload in (PRESS, MODAL, PRESS, MODAL):
        reply = await world.interaction(payload)
        assert (reply.status_code, reply.content) == (200, b"")
    press, modal = await world.rows()
    assert (press["provider"], press["conversation"]) == ("slack_action", f"slack_action:{TEAM}:U1")
    assert press["payload"] == {name: value for name, value in PRESS.items() if name != "token"}
    assert modal["payload"]["view"]["callback_id"] == "ssa_feedback_reason"


async def test_a_text_that_no_column_takes_is_cleaned(world: SlackIn) -> None:
    assert (await world.event(message("a\x00b \ud83d"))).status_code == 200
    await world.dispatcher.idle()
    assert world.manager.texts == ["ab ?"]


async def test_that_slack_leaves_out_events_is_logged(world: SlackIn) -> None:
    limited = {"type": "app_rate_limited", "token": "x", "team_id": TEAM, "minute_rate_limited": 1518467820}
    with capture_logs() as lines:
        reply = await world.event(limited)
    assert reply.status_code == 200
    assert [line["team"] for line in lines if line["event"] == "slack_leaves_out_events"] == [TEAM]


async def test_without_the_database_slack_is_told_at_once_to_come_again(
    world: SlackIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_door, "RECORD_WITHIN_S", RECORD_WITHIN_S)
    assert RECORD_WITHIN_S < 1
    async with world.dispatcher.parts.database.transaction() as tx:
        await tx.execute("lock table inbound_events in access exclusive mode")
        async with asyncio.timeout(STATEMENT_TIMEOUT_S / 2):  # what a hanging statement would hold the answer for
            replies = await asyncio.gather(*(world.post(*each) for each in bodies()))
        for reply in replies:
            assert reply.status_code == 503
            assert "x-slack-no-retry" not in reply.headers


async def test_an_error_of_ours_is_no_acknowledgement(world: SlackIn, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_args: object, **_more: object) -> list[store.Recorded]:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(store, "record", breaks)
    assert (await world.event(message("hello"))).status_code == 503


async def test_nothing_is_asked_of_slack_before_the_acknowledgement(world: SlackIn) -> None:
    await world.dispatcher.parts.inbox.queue.stop()
    for path, body, kind in bodies():
        assert (await world.post(path, body, kind)).status_code == 200
    assert world.slack.calls == []


async def test_without_a_signing_secret_the_addresses_are_not_there(database_url: str) -> None:
    socket_only = {"slack_signing_secret": SecretStr(""), "slack_bot_token": SecretStr("")}
    async with slack_in(slack_settings(database_url, **socket_only)) as world:
        for path, body, kind in bodies():
            assert (await world.post(path, body, kind)).status_code == 404


async def test_no_log_line_holds_what_a_person_wrote(world: SlackIn, capsys: pytest.CaptureFixture[str]) -> None:
    canary = "canary-4711"
    await world.event(message(canary))
    await world.event(message(canary), headers={"x-slack-signature": "v0=" + "0" * 64})
    await world.event(envelope({"type": "unheard_of", "text": canary}))
    await world.dispatcher.idle()
    written = capsys.readouterr()
    assert canary not in written.out + written.err
    assert SECRET not in written.out + written.err
