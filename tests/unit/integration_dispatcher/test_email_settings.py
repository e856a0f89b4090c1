"""The environment of e-mail: nothing, or everything that is needed."""

import base64
import os

import pytest
from integration_dispatcher.settings import Settings
from pydantic import ValidationError

NEEDED = {
    "DATABASE_URL": "postgresql://localhost/x",
    "DATABASE_ROLE": "r",
    "SERVICE_TOKEN_KEY": "k" * 32,
    "SECRETS_KEY": base64.b64encode(os.urandom(32)).decode(),
    "PROFILE": "local",
}
OUT = {"SMTP_HOST": "mail.example", "SMTP_FROM": "IT Help <it@example.com>"}
BOX = {
    "IMAP_HOST": "mail.example",
    "IMAP_USERNAME": "it",
    "IMAP_PASSWORD": "hush-hush",
    "EMAIL_TRUSTED_AUTHSERV_ID": "mx",
}
WHOLE = OUT | BOX


def read(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> Settings:
    for name in list(os.environ):
        if name.startswith(("SMTP_", "IMAP_", "EMAIL_")):
            monkeypatch.delenv(name)
    for name, value in (NEEDED | given).items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_without_settings_there_is_no_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    given = read(monkeypatch, {})
    assert (given.sends_mail, given.reads_mail) == (False, False)


def test_mail_out_alone_is_enough_to_send(monkeypatch: pytest.MonkeyPatch) -> None:
    given = read(monkeypatch, OUT)
    assert (given.sends_mail, given.reads_mail) == (True, False)


def test_all_of_it_sends_and_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    given = read(monkeypatch, WHOLE)
    assert (given.sends_mail, given.reads_mail) == (True, True)
    assert "hush-hush" not in repr(given)


@pytest.mark.parametrize(
    "missing", ["SMTP_HOST", "SMTP_FROM", "IMAP_HOST", "IMAP_USERNAME", "IMAP_PASSWORD", "EMAIL_TRUSTED_AUTHSERV_ID"]
)
def test_half_a_setting_stops_the_start_and_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    with pytest.raises(ValidationError, match=missing) as raised:
        read(monkeypatch, {name: value for name, value in WHOLE.items() if name != missing})
    assert "hush-hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"SMTP_USERNAME": "it"}, "SMTP_PASSWORD"),
        ({"SMTP_PASSWORD": "hush-hush"}, "SMTP_USERNAME"),
        ({"SMTP_DKIM_KEY": "hush-hush", "SMTP_DKIM_DOMAIN": "example.com"}, "SMTP_DKIM_SELECTOR"),
        ({"SMTP_FROM": "nobody"}, "SMTP_FROM"),
        ({"EMAIL_LINKS_URL": "it.example.com"}, "EMAIL_LINKS_URL"),
        ({"SMTP_FROM": "it@example.com\r\nBcc: x@example.com"}, "SMTP_FROM"),
    ],
)
def test_what_belongs_together_comes_together(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        read(monkeypatch, OUT | given)


@pytest.mark.parametrize(
    "given",
    [
        {"SMTP_USERNAME": "it", "SMTP_PASSWORD": "x", "SMTP_TLS": "none"},
        {**BOX, "IMAP_TLS": "none"},
        {"EMAIL_LINKS_URL": "http://it.example.com"},
    ],
)
def test_no_secret_travels_in_the_clear_but_on_ones_own_machine(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    assert read(monkeypatch, OUT | given).sends_mail
    with pytest.raises(ValidationError, match="in the clear"):
        read(monkeypatch, OUT | given | {"PROFILE": "production"})
