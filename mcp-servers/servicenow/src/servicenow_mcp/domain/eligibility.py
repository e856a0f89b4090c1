"""May this laptop be replaced today? Decided here, never by a model."""

from dataclasses import dataclass
from datetime import date

from servicenow_mcp.domain.ages import add_months, age_in_months, age_text, day_text
from servicenow_mcp.domain.laptops import Laptop
from servicenow_mcp.domain.policy import Policy


@dataclass(frozen=True)
class Eligibility:
    """`eligible_from`: the first day on which the laptop may be replaced. `verdict`: one sentence for the person."""

    is_eligible: bool
    age_months: int
    cycle_months: int
    eligible_from: date
    verdict: str
    policy_section: str
    approval_note: str


def decide(policy: Policy, laptop: Laptop, purchase_date: date, today: date) -> Eligibility:
    """Return the verdict: eligible when the age in whole months is equal to or above the cycle of the class."""
    age = age_in_months(purchase_date, today)
    cycle = policy.cycle_months(laptop.model)
    eligible_from = add_months(purchase_date, cycle)
    is_eligible = age >= cycle
    return Eligibility(
        is_eligible=is_eligible,
        age_months=age,
        cycle_months=cycle,
        eligible_from=eligible_from,
        verdict=_verdict(laptop, age, cycle, None if is_eligible else eligible_from),
        policy_section=policy.section_name(policy.eligibility_section),
        approval_note=_approval_note(policy, laptop, is_eligible),
    )


def _verdict(laptop: Laptop, age: int, cycle: int, not_before: date | None) -> str:
    known = f"Your {laptop.model} (serial number {laptop.serial_number}) is {age_text(age)} old"
    if not_before is None:
        return f"{known} and its refresh cycle is {cycle} months, so you are eligible for a new laptop."
    return (
        f"{known} and its refresh cycle is {cycle} months, so you are not eligible for a new laptop "
        f"before {day_text(not_before)}."
    )


def _approval_note(policy: Policy, laptop: Laptop, is_eligible: bool) -> str:
    if is_eligible:
        return policy.approvals.eligible
    return policy.approvals.fault if laptop.is_faulty else policy.approvals.early
