"""Rules of callers, keys, sign-in and limits."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from request_manager.domain.api_keys import new_api_key, split_api_key
from request_manager.domain.callers import Caller, highest_role, person_caller
from request_manager.domain.limits import Limits, Load, headers, refusal
from request_manager.domain.sign_in import SignInRules, read_profile
from shared_models.enums import CallerKind, Role, Scope
from shared_models.errors import NotAllowed, NotFound
from shared_models.schemas import Person

ANA = Person(user_id=UUID(int=1), email="ana@example.com")
BEN = UUID(int=2)
RULES = SignInRules("realm_access.roles", "root@example.com", trusts_email=False)
CLAIMS: dict[str, Any] = {"iss": "i", "sub": "s", "email": "Ana@example.com", "email_verified": True}


def test_a_person_owns_what_is_theirs() -> None:
    caller = person_caller(ANA, Role.ADMINISTRATOR)
    caller.require_own(ANA.user_id)
    with pytest.raises(NotFound):
        caller.require_own(BEN)
    with pytest.raises(NotFound):
        caller.require_own(BEN, caller.id)


def test_a_tool_owns_what_it_created() -> None:
    tool = Caller(CallerKind.TOOL, "tool:1", acts_for=frozenset({ANA.user_id}))
    tool.require_own(BEN, "tool:1")
    with pytest.raises(NotFound):
        tool.require_own(ANA.user_id, "tool:2")
    tool.require_acting_for(ANA.user_id)
    with pytest.raises(NotAllowed):
        tool.require_acting_for(BEN)
    with pytest.raises(NotAllowed):
        _ = tool.me


def test_a_service_owns_nothing() -> None:
    service = Caller(CallerKind.SERVICE, "service:integration-dispatcher", acts_for=None)
    with pytest.raises(NotFound):
        service.require_own(ANA.user_id, service.id)
    assert not service.is_operator


def test_a_scope_that_is_missing_is_refused() -> None:
    caller = person_caller(ANA, Role.ADMINISTRATOR, frozenset({Scope.REQUESTS_READ}))
    caller.require(Scope.REQUESTS_READ)
    with pytest.raises(NotAllowed):
        caller.require(Scope.REQUESTS_WRITE)


def test_roles_contain_those_below() -> None:
    assert person_caller(ANA, Role.OPERATOR).acting.roles == (Role.USER, Role.OPERATOR)
    assert highest_role(["user", "administrator", "operator"]) is Role.ADMINISTRATOR
    assert highest_role(["Administrator", "admin", "operators"]) is Role.USER


@pytest.mark.parametrize(
    ("more", "role"),
    [
        ({}, Role.USER),
        ({"realm_access": {"roles": ["operator"]}}, Role.OPERATOR),
        ({"realm_access.roles": ["administrator"]}, Role.ADMINISTRATOR),
        ({"realm_access": {"roles": "user operator"}}, Role.OPERATOR),
        ({"realm_access": "operator"}, Role.USER),
        ({"realm_access": {"roles": [1, None]}}, Role.USER),
        ({"email": "ROOT@example.com"}, Role.ADMINISTRATOR),
    ],
)
def test_roles_come_from_the_configured_claim(more: dict[str, Any], role: Role) -> None:
    assert read_profile(CLAIMS | more, RULES).role is role


def test_without_a_configured_claim_the_token_says_nothing_about_roles() -> None:
    profile = read_profile(CLAIMS | {"roles": ["administrator"]}, SignInRules("", "", trusts_email=False))
    assert (profile.role, profile.email) == (None, "ana@example.com")


@pytest.mark.parametrize(
    "more", [{"email": None}, {"email": "ana"}, {"email": 7}, {"email_verified": "true"}, {"email_verified": False}]
)
def test_an_address_that_the_issuer_does_not_vouch_for_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(NotAllowed):
        read_profile(CLAIMS | more, RULES)


def test_an_issuer_that_checks_all_addresses_need_not_say_so() -> None:
    trusting = SignInRules("", "", trusts_email=True)
    claims = {name: value for name, value in CLAIMS.items() if name != "email_verified"}
    assert read_profile(claims, trusting).email == "ana@example.com"
    with pytest.raises(NotAllowed):
        read_profile(CLAIMS | {"email_verified": False}, trusting)


def test_keys_have_one_form() -> None:
    key = new_api_key()
    split = split_api_key(key)
    assert split is not None
    assert key.startswith(split.prefix)
    assert len(split.digest) == 32
    for wrong in ("", "ssa_", key + "x", key[:-1], key.upper(), key + "\n", "ssb" + key[3:]):
        assert split_api_key(wrong) is None


LIMITS = Limits(60, 53, timedelta(hours=336), timedelta(hours=24))
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_window_that_is_full_tells_when_it_ends() -> None:
    error = refusal(LIMITS, Load(60, NOW + timedelta(seconds=20), 3), NOW)
    assert (error.retry_after_s, error.status) == (21.0, 429)
    assert error.headers["ratelimit"] == '"minute";r=0;t=20, "open";r=50'


def test_too_many_under_way_are_told_apart_from_too_many_per_minute() -> None:
    error = refusal(LIMITS, Load(60, NOW - timedelta(seconds=1), 53), NOW)
    assert "under way" in error.detail
    assert headers(LIMITS, Load(60, NOW - timedelta(seconds=1), 0), NOW)["ratelimit"].startswith('"minute";r=60;t=0')
