"""Stored secrets: sealed for one owner, readable across a change of keys, broken by any change."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integration_dispatcher.vault import CannotDecrypt, Vault
from shared_models.schemas import Metadata

OLD, NEW = os.urandom(32), os.urandom(32)
VALUES: Metadata = {"secrets": [{"value": "whsec_abc", "until": None}]}


def test_what_was_sealed_opens_for_its_owner_only() -> None:
    vault = Vault([NEW])
    sealed = vault.seal(VALUES, "ana/webhook")
    assert vault.open(sealed, "ana/webhook") == VALUES
    with pytest.raises(CannotDecrypt):
        vault.open(sealed, "ben/webhook")


def test_two_seals_of_the_same_value_differ() -> None:
    vault = Vault([NEW])
    assert vault.seal(VALUES, "a") != vault.seal(VALUES, "a")


def test_an_earlier_key_still_opens_and_the_present_one_seals() -> None:
    sealed = Vault([OLD]).seal(VALUES, "a")
    both = Vault([NEW, OLD])
    assert both.open(sealed, "a") == VALUES
    assert Vault([NEW]).open(both.seal(VALUES, "a"), "a") == VALUES
    with pytest.raises(CannotDecrypt, match="no key"):
        Vault([NEW]).open(sealed, "a")


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_value_does_not_open(place: int, change: int) -> None:
    vault = Vault([NEW])
    key_id, _, text = vault.seal(VALUES, "a").partition(".")
    raw = bytearray(base64.b64decode(text))
    raw[place % len(raw)] ^= change
    with pytest.raises(CannotDecrypt):
        vault.open(f"{key_id}.{base64.b64encode(raw).decode()}", "a")


@pytest.mark.parametrize("sealed", ["", "x", ".", "{key}.", "{key}.!!", "{key}.QUJD"])
def test_noise_does_not_open(sealed: str) -> None:
    vault = Vault([NEW])
    key_id = vault.seal(VALUES, "a").partition(".")[0]
    with pytest.raises(CannotDecrypt):
        vault.open(sealed.replace("{key}", key_id), "a")
