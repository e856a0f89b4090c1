"""Ages in whole months. Dates only: today comes in as an argument."""

from calendar import monthrange
from datetime import date

MONTHS_PER_YEAR = 12


def add_months(day: date, months: int) -> date:
    """Return the same day `months` later (or earlier); the last day of the month where that day does not exist."""
    index = day.year * MONTHS_PER_YEAR + day.month - 1 + months
    year, month = divmod(index, MONTHS_PER_YEAR)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def age_in_months(born: date, today: date) -> int:
    """Return the whole months from `born` to `today`, 0 for a date in the future.

    The largest n with `add_months(born, n) <= today`: bought on 31 January, one month old on the last of February."""
    months = (today.year - born.year) * MONTHS_PER_YEAR + today.month - born.month
    if add_months(born, months) > today:
        months -= 1
    return max(months, 0)


def age_text(months: int) -> str:
    """Return an age for people: "3 years and 2 months"."""
    years, rest = divmod(months, MONTHS_PER_YEAR)
    return f"{counted(years, 'year')} and {counted(rest, 'month')}"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def day_text(day: date) -> str:
    """Return a date for people: "4 March 2027"."""
    return f"{day.day} {day:%B} {day.year}"
