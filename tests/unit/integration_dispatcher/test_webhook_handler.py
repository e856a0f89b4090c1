"""The webhook's bodies, signatures and settings, without a network."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from integration_dispatcher.domain.addresses import AddressPolicy
from integration_dispatcher.guarded_http import GuardedHttp, Reply
from integration_dispatcher.handlers.base import DeliveryDelayed, DeliveryRejected
from integration_dispatcher.handlers.webhook import (
    MAX_BODY_BYTES,
    Secret,
    Signed,
    WebhookConfig,
    WebhookIntegrationHandler,
    has_echoed,
    new_secret,
    read_reply,
    seconds,
    signed_headers,
)
from shared_models.enums import RequestStatus
from shared_models.errors import InvalidRequest
from shared_models.ids import new_id
from shared_models.schemas import Metadata, RequestResult
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.dispatcher import ended

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
URL = "https://hooks.customer.com/x"


async def nowhere(host: str) -> list[str]:
    raise OSError(host)


HANDLER = WebhookIntegrationHandler(GuardedHttp(AddressPolicy(), nowhere), public_url="https://it.customer.com/")


def message(body: str, sent_at: datetime) -> Signed:
    return Signed(str(new_id()), body, sent_at)


@given(st.text(), st.integers(1, 3))
def test_every_secret_of_a_rotation_verifies_by_the_standards_own_library(content: str, count: int) -> None:
    secrets = [Secret(value=new_secret()) for _ in range(count)]
    [body] = HANDLER.parts(ended(new_id(), None, content=content), {})
    sent = message(body, datetime.now(UTC))
    headers = signed_headers(sent, WebhookConfig(url=URL, secrets=secrets))
    for secret in secrets:
        data = Webhook(secret.value).verify(body.encode(), headers)["data"]
        assert data["response"]["content"] == content
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body.encode(), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets[0].value).verify(body.encode() + b" ", headers)


def test_an_old_secret_signs_for_a_day_and_no_longer() -> None:
    config = WebhookConfig(
        url=URL, secrets=[Secret(value=new_secret()), Secret(value=new_secret(), until=NOW + timedelta(hours=24))]
    )
    counts = [
        len(signed_headers(message("{}", NOW + timedelta(hours=hours)), config)["webhook-signature"].split())
        for hours in (0, 23, 25)
    ]
    assert counts == [2, 2, 1]


@pytest.mark.parametrize("status", [status for status in RequestStatus if status.is_end])
def test_the_body_is_the_result_of_the_request(status: RequestStatus) -> None:
    answer = ended(new_id(), None, status=status)
    [body] = HANDLER.parts(answer, {})
    parsed = orjson.loads(body)
    assert set(parsed) == {"type", "timestamp", "data"}
    result = RequestResult.model_validate(parsed["data"])
    assert (result.request_id, result.status) == (answer.request_id, status)
    assert (result.response is None) == (status is not RequestStatus.COMPLETED)
    assert (result.error is None) == (status is RequestStatus.COMPLETED)


@given(st.integers(0, 65_536), st.sampled_from(["x", "€", "\U0001f600", '"', "\x01"]))
def test_no_body_is_larger_than_twenty_kilobytes(length: int, character: str) -> None:
    answer = ended(new_id(), None, content=character * length)
    [body] = HANDLER.parts(answer, {})
    assert len(body.encode()) <= MAX_BODY_BYTES
    data = orjson.loads(body)["data"]
    is_whole = data["response"] is not None
    assert is_whole == ("result_url" not in data)
    if not is_whole:
        assert data["result_url"] == f"https://it.customer.com/api/v1/requests/{answer.request_id}/result"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_delivered(status: int) -> None:
    assert read_reply(Reply(status), NOW).code == status


@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504])
def test_everything_else_is_tried_again(status: int) -> None:
    with pytest.raises(DeliveryDelayed) as caught:
        read_reply(Reply(status, b"password=hunter2", "30"), NOW)
    assert (caught.value.code, caught.value.retry_after_s) == (status, 30)
    assert "hunter2" not in caught.value.words


def test_410_is_final_and_switches_off() -> None:
    with pytest.raises(DeliveryRejected) as caught:
        read_reply(Reply(410), NOW)
    assert caught.value.disables


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("5", 5.0),
        ("0", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("９", None),
        ("9" * 400, 999_999_999.0),
        ("Mon, 04 May 2026 12:01:00 GMT", 60.0),
        ("Mon, 04 May 2026 11:00:00 GMT", 0.0),
        ("Mon, 99 May 2026 11:00:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(header: str, expected: float | None) -> None:
    assert seconds(header, NOW) == expected


@given(st.text(max_size=40))
def test_no_retry_after_breaks_the_reading(header: str) -> None:
    asked_s = seconds(header, NOW)
    assert asked_s is None or asked_s >= 0


def known(url: str = URL, *values: str) -> WebhookConfig:
    return WebhookConfig(url=url, secrets=[Secret(value=value) for value in values])


def secrets_of(hidden: Metadata) -> list[Any]:
    secrets = hidden["secrets"]
    assert isinstance(secrets, list)
    return secrets


def test_a_secret_stays_with_its_url_and_another_url_gets_another() -> None:
    first = HANDLER.settle({"url": URL}, None, NOW)
    assert first.new_secret is not None
    before = known(URL, first.new_secret)
    same = HANDLER.settle({"url": URL}, before, NOW)
    assert (same.new_secret, secrets_of(same.hidden)) == (None, secrets_of(first.hidden))
    moved = HANDLER.settle({"url": URL + "2"}, before, NOW)
    assert moved.new_secret not in (None, first.new_secret)
    assert len(secrets_of(moved.hidden)) == 1


def test_a_rotation_keeps_the_old_secret_for_a_day_and_three_at_most() -> None:
    config = known(URL, new_secret())
    for _ in range(5):
        settled = HANDLER.settle({"url": URL, "rotate_secret": True}, config, NOW)
        config = WebhookConfig.model_validate({**settled.shown, **settled.hidden})
        assert config.secrets[0].value == settled.new_secret
        assert config.secrets[0].until is None
    assert len(config.secrets) == 3
    assert {secret.until for secret in config.secrets[1:]} == {NOW + timedelta(hours=24)}


def test_without_a_url_the_one_that_is_there_stays() -> None:
    config = known(URL, new_secret())
    settled = HANDLER.settle({"rotate_secret": True}, config, NOW)
    assert settled.shown == {"url": URL}
    assert len(secrets_of(settled.hidden)) == 2
    with pytest.raises(InvalidRequest, match=r"config\.url"):
        HANDLER.settle({"rotate_secret": True}, None, NOW)


def test_a_given_secret_is_never_told_again() -> None:
    value = new_secret()
    settled = HANDLER.settle({"url": URL, "secret": value}, known(URL, new_secret()), NOW)
    assert settled.new_secret is None
    assert secrets_of(settled.hidden)[0]["value"] == value
    assert len(secrets_of(settled.hidden)) == 2


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "A" * 200, "not base64", "A" * 44])
def test_a_weak_or_malformed_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        HANDLER.settle({"url": URL, "secret": secret}, None, NOW)
    assert secret in ("", "whsec_") or secret not in str(caught.value)


def test_a_target_names_the_origin_but_not_the_path_that_may_be_secret() -> None:
    answer, ana, ben = ended(new_id(), None), new_id(), new_id()
    target = HANDLER.target(answer, ana, {"url": "https://hooks.customer.com/T0/secret-path"})
    assert target.startswith("https://hooks.customer.com#")
    assert "secret" not in target
    assert HANDLER.target(answer, ana, {"url": "https://hooks.customer.com/T0/other"}) != target
    assert HANDLER.target(answer, ben, {"url": "https://hooks.customer.com/T0/secret-path"}) != target


@pytest.mark.parametrize(
    ("body", "is_proof"),
    [
        (b'{"challenge": "abc"}', True),
        (b'{"type": "webhook.verify", "data": {"challenge": "abc"}}', False),
        (b'{"challenge": "abd"}', False),
        (b'["abc"]', False),
        (b"abc", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_only_a_receiver_that_has_read_the_challenge_proves_itself(body: bytes, is_proof: bool) -> None:
    assert has_echoed(body, "abc") is is_proof
