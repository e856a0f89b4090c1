"""What the SMS provider says and means: its errors, its signature, its states, people's words, and our settings for it."""

import json

import pytest
from integration_dispatcher.domain.sms_callbacks import Wish, is_signed, rank_of, reason_of, wish_of
from integration_dispatcher.handlers.base import DeliveryDelayed, DeliveryRejected, IntegrationPaused
from integration_dispatcher.sms_callbacks import fields_of
from integration_dispatcher.sms_provider import StoppedByPhone, read_reply
from pydantic import SecretStr
from shared_models.errors import MalformedBody

from tests.support.dispatcher import settings

# The example of the provider's own documentation (docs/usage/security).
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+12349013030",
    "Digits": "1234",
    "From": "+12349013030",
    "To": "+18005551212",
}
SIGNED = "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
SMS = {"sms_account_sid": "AC1", "sms_auth_token": SecretStr("hush-hush"), "sms_from": "+14155550199"}
DATABASE = "postgresql://nobody@127.0.0.1:1/none"


def error(code: int, status: int) -> bytes:
    return json.dumps({"code": code, "message": "The provider's words", "status": status}).encode()


def test_the_signature_is_that_of_the_documentation() -> None:
    assert is_signed(SIGNED, URL, FORM, "12345")


@pytest.mark.parametrize(
    ("given", "url", "form", "token"),
    [
        ("", URL, FORM, "12345"),
        (SIGNED.lower(), URL, FORM, "12345"),
        ("é", URL, FORM, "12345"),
        (SIGNED, URL + "3", FORM, "12345"),
        (SIGNED, URL.replace("https", "http"), FORM, "12345"),
        (SIGNED, URL, FORM | {"Digits": "1235"}, "12345"),
        (SIGNED, URL, FORM | {"Extra": ""}, "12345"),
        (SIGNED, URL, FORM, "12346"),
        (SIGNED, URL, FORM, ""),
    ],
)
def test_another_signature_url_field_or_token_is_refused(
    given: str, url: str, form: dict[str, str], token: str
) -> None:
    assert not is_signed(given, url, form, token)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error(21610, 400), StoppedByPhone),
        (400, error(21211, 400), DeliveryRejected),
        (400, error(21614, 400), DeliveryRejected),
        (400, error(21408, 400), DeliveryRejected),
        (400, b"<html>", DeliveryRejected),
        (429, error(20429, 429), DeliveryDelayed),
        (400, error(20429, 400), DeliveryDelayed),
        (400, error(14107, 400), DeliveryDelayed),
        (500, b"", DeliveryDelayed),
        (503, error(20503, 503), DeliveryDelayed),
        (302, b"", DeliveryDelayed),
        (200, b"[]", DeliveryDelayed),
        (201, b"{", DeliveryDelayed),
        (200, b"[" * 100_000, DeliveryDelayed),
        (401, error(20003, 401), IntegrationPaused),
        (403, error(20005, 403), IntegrationPaused),
        (404, error(20404, 404), IntegrationPaused),
        (400, b'{"code": "21610"}', DeliveryRejected),
    ],
)
def test_each_error_is_tried_again_or_final_or_about_our_account(
    status: int, body: bytes, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as raised:
        read_reply(status, body, "")
    assert type(raised.value) is kind


@pytest.mark.parametrize(("retry_after", "wait_s"), [("7", 7.0), ("", None), ("soon", None), ("٣", None)])
def test_the_provider_may_say_when_to_come_back(retry_after: str, wait_s: float | None) -> None:
    with pytest.raises(DeliveryDelayed) as raised:
        read_reply(429, error(20429, 429), retry_after)
    assert raised.value.retry_after_s == wait_s
    assert raised.value.words == "20429: The provider's words"


def test_states_only_move_forward_and_the_ends_are_equal() -> None:
    ranks = [rank_of(each) for each in ("accepted", "scheduled", "queued", "sending", "sent", "delivered")]
    assert ranks == list(range(6))
    assert rank_of("undelivered") == rank_of("failed") == rank_of("delivered")
    assert rank_of("read") is rank_of("") is None


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("STOP", Wish.STOP),
        (" stop. ", Wish.STOP),
        ("Unsubscribe", Wish.STOP),
        ("Opt-Out", Wish.STOP),
        ("start", Wish.START),
        ("UNSTOP", Wish.START),
        ("HELP", Wish.HELP),
        ("please stop the printer", Wish.OTHER),
        ("", Wish.OTHER),
    ],
)
def test_a_word_alone_is_a_wish_and_a_sentence_is_none(text: str, wish: Wish) -> None:
    assert wish_of(text) is wish


def test_what_the_provider_has_read_counts_more_than_the_text() -> None:
    assert wish_of("arrêter", "STOP") is Wish.STOP


def test_why_a_message_did_not_arrive_is_told_in_words() -> None:
    assert reason_of(30003) == "The phone is switched off or cannot be reached. (30003)"
    assert reason_of(39999) == "The phone's network did not deliver the message. (39999)"
    assert reason_of(None) == "The phone's network did not deliver the message."


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a", b"a=%00", b"\xff=1", b"&".join([b"a=1"] * 200), b"a=%FF"])
def test_what_is_no_form_of_the_provider_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        fields_of(body)


def test_sms_is_off_without_settings_and_on_with_all() -> None:
    assert settings(DATABASE).sms is None
    account = settings(DATABASE, **SMS, sms_callback_url="https://it.example.com/").sms
    assert account is not None
    assert (account.api_url, account.callback_url) == ("https://api.twilio.com", "https://it.example.com")
    assert "hush-hush" not in repr(account)


@pytest.mark.parametrize("name", SMS)
def test_half_set_up_stops_the_start_with_the_missing_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name.upper()} is missing"):
        settings(DATABASE, **{key: value for key, value in SMS.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"), [("sms_from", "0155501"), ("sms_from", "MG-12"), ("sms_callback_url", "it.example.com")]
)
def test_a_setting_that_cannot_work_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name.upper()):
        settings(DATABASE, **SMS | {name: value})


@pytest.mark.parametrize("sender", ["+14155550199", "IT Desk", "MG" + "0" * 32])
def test_a_number_letters_or_a_messaging_service_may_send(sender: str) -> None:
    account = settings(DATABASE, **SMS | {"sms_from": sender}).sms
    assert account is not None
    assert account.number == (sender if sender.startswith("+") else "")
