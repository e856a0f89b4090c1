from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from servicenow_mcp.domain.ages import add_months
from servicenow_mcp.domain.eligibility import decide
from servicenow_mcp.domain.laptops import Laptop, WarrantyStatus, warranty_expiry, warranty_status
from servicenow_mcp.domain.policy import Policy
from servicenow_mcp.rules import shipped_rules

POLICY = shipped_rules().policy
DAYS = st.dates(date(2000, 1, 1), date(2080, 12, 31))


def laptop(model: str = "ThinkPad T14 Gen 3", *, is_faulty: bool = False, expiration: date | None = None) -> Laptop:
    return Laptop("0" * 32, "a laptop", model, "SN1", "LT-1", None, expiration, is_faulty)


@pytest.mark.parametrize(
    ("model", "device_class"),
    [
        ("ThinkPad T14 Gen 3", "standard"),
        ("MacBook Air M2", "standard"),
        ("MacBook Pro 14", "standard"),
        ("MacBook Pro 16", "high-performance"),
        ("Apple MacBook Pro 16-inch", "high-performance"),
        ("MacBook Pro (16-inch, 2021)", "high-performance"),
        ("lenovo thinkpad p1 gen 6", "high-performance"),
        ("ThinkPad P16s Gen 2", "high-performance"),
        ("ThinkPad P100", "standard"),
        ("Precision 5680", "high-performance"),
        ("", "standard"),
    ],
)
def test_the_device_class_follows_from_whole_words_of_the_model(model: str, device_class: str) -> None:
    assert POLICY.class_of(model) == device_class


@pytest.mark.parametrize(("model", "cycle"), [("ThinkPad T14 Gen 3", 36), ("MacBook Pro 16", 24)])
@given(bought=DAYS)
def test_eligibility_flips_exactly_on_the_day_of_the_cycle(model: str, cycle: int, bought: date) -> None:
    first_day = add_months(bought, cycle)
    before = decide(POLICY, laptop(model), bought, first_day - timedelta(days=1))
    after = decide(POLICY, laptop(model), bought, first_day)
    assert (before.is_eligible, after.is_eligible) == (False, True)
    assert (before.age_months, after.age_months) == (cycle - 1, cycle)
    assert before.eligible_from == after.eligible_from == first_day


@given(DAYS, DAYS)
def test_eligible_means_an_age_of_at_least_the_cycle(bought: date, today: date) -> None:
    verdict = decide(POLICY, laptop(), bought, today)
    assert verdict.is_eligible == (verdict.age_months >= verdict.cycle_months) == (today >= verdict.eligible_from)


def test_the_verdict_names_laptop_age_and_cycle_in_one_sentence() -> None:
    verdict = decide(POLICY, laptop(), date(2023, 1, 17), date(2026, 3, 17))
    assert verdict.verdict == (
        "Your ThinkPad T14 Gen 3 (serial number SN1) is 3 years and 2 months old and its refresh cycle is 36 months, "
        "so you are eligible for a new laptop."
    )
    assert verdict.policy_section == "Laptop refresh policy, section 3: Eligibility"


def test_a_refusal_names_the_first_day() -> None:
    verdict = decide(POLICY, laptop(), date(2024, 2, 29), date(2026, 3, 17))
    assert verdict.verdict.endswith("so you are not eligible for a new laptop before 28 February 2027.")


def test_who_approves_depends_on_the_verdict_and_on_a_fault() -> None:
    old, new, today = date(2020, 1, 1), date(2026, 1, 1), date(2026, 3, 17)
    assert decide(POLICY, laptop(), old, today).approval_note == POLICY.approvals.eligible
    assert decide(POLICY, laptop(), new, today).approval_note == POLICY.approvals.early
    assert decide(POLICY, laptop(is_faulty=True), new, today).approval_note == POLICY.approvals.fault
    assert not decide(POLICY, laptop(is_faulty=True), new, today).is_eligible


def test_the_warranty_ends_on_the_recorded_day_else_after_the_policys_months() -> None:
    bought = date(2024, 2, 29)
    dated = Laptop("0" * 32, "n", "m", "s", "a", bought, None, is_faulty=False)
    assert warranty_expiry(dated, 36) == date(2027, 2, 28)
    assert warranty_expiry(laptop(expiration=date(2025, 1, 1)), 36) == date(2025, 1, 1)
    assert warranty_expiry(laptop(), 36) is None


def test_a_warranty_holds_through_its_last_day() -> None:
    last = date(2026, 3, 17)
    assert warranty_status(last, last) is WarrantyStatus.ACTIVE
    assert warranty_status(last, last + timedelta(days=1)) is WarrantyStatus.EXPIRED
    assert warranty_status(None, last) is WarrantyStatus.UNKNOWN


def test_a_policy_with_an_unknown_key_or_class_is_refused() -> None:
    data = POLICY.model_dump()
    with pytest.raises(ValidationError, match="cycle_moths"):
        Policy.model_validate({**data, "cycle_moths": 1})
    with pytest.raises(ValidationError, match="default_class"):
        Policy.model_validate({**data, "default_class": "gaming"})
    with pytest.raises(ValidationError, match="eligibility_section"):
        Policy.model_validate({**data, "eligibility_section": "none"})
