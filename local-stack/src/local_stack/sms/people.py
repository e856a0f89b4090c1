"""The demo people's phones: numbers that exist in no network."""

from local_stack.servicenow.demo import DEMO_USER
from local_stack.servicenow.people import Person, shipped_people

SHOWN = 4
FIRST_NUMBER = 14155550100


def phones() -> dict[str, str]:
    """Names by number."""
    return {f"+{FIRST_NUMBER + place}": each.name for place, each in enumerate(_shown())}


def user_names() -> list[str]:
    return [each.user_name for each in _shown()]


def _shown() -> list[Person]:
    """The person of `make up` first."""
    people = sorted(shipped_people(), key=lambda each: each.user_name != DEMO_USER)
    return people[:SHOWN]
