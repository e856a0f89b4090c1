"""The demonstration person that `make up` signs in. The name stands once, in data/people.yaml; here only who it is."""

from local_stack.servicenow.people import Person, shipped_people

DEMO_USER = "alice"


def demo_person() -> Person:
    """Return the person whose token `make up` prints: eligible for a new laptop, office in EMEA."""
    return next(person for person in shipped_people() if person.user_name == DEMO_USER)
