from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servicenow_mcp.domain.ages import add_months, age_in_months, age_text, day_text

DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))
MONTHS = st.integers(0, 240)


@given(DAYS, MONTHS)
def test_a_laptop_is_n_months_old_from_the_nth_monthly_day_on_and_not_before(bought: date, months: int) -> None:
    reached = add_months(bought, months)
    assert age_in_months(bought, reached) == months
    if months:
        assert age_in_months(bought, reached - timedelta(days=1)) == months - 1


@given(DAYS, DAYS)
def test_age_is_the_largest_number_of_months_that_fits(bought: date, today: date) -> None:
    age = age_in_months(bought, today)
    assert age >= 0
    if today >= bought:
        assert add_months(bought, age) <= today < add_months(bought, age + 1)


@given(DAYS, DAYS)
def test_age_never_falls_as_days_go_by(bought: date, today: date) -> None:
    assert age_in_months(bought, today) <= age_in_months(bought, today + timedelta(days=1))


@pytest.mark.parametrize(
    ("bought", "months", "expected"),
    [
        (date(2023, 1, 31), 1, date(2023, 2, 28)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2023, 8, 31), 1, date(2023, 9, 30)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2024, 2, 29), 48, date(2028, 2, 29)),
        (date(2023, 12, 15), 1, date(2024, 1, 15)),
        (date(2024, 1, 15), -1, date(2023, 12, 15)),
    ],
)
def test_ends_of_months_and_leap_days_are_clamped(bought: date, months: int, expected: date) -> None:
    assert add_months(bought, months) == expected


def test_a_date_in_the_future_is_zero_months_old() -> None:
    assert age_in_months(date(2026, 5, 1), date(2026, 4, 1)) == 0


@pytest.mark.parametrize(
    ("months", "text"),
    [
        (0, "0 years and 0 months"),
        (1, "0 years and 1 month"),
        (12, "1 year and 0 months"),
        (13, "1 year and 1 month"),
        (38, "3 years and 2 months"),
    ],
)
def test_ages_are_told_in_years_and_months(months: int, text: str) -> None:
    assert age_text(months) == text


def test_days_are_told_with_the_month_in_words() -> None:
    assert day_text(date(2027, 3, 4)) == "4 March 2027"
