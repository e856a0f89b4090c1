"""The variables of the catalogue item: what an order says. The doctor checks that the instance has them.

Source of the type names: ServiceNow, catalog variable types (`friendly_type` of the Service Catalog API)."""

from dataclasses import dataclass

LAPTOP_CHOICES = "laptop_choices"
REQUESTED_FOR = "who_is_this_request_for"
JUSTIFICATION = "business_justification"
SERIAL_NUMBER = "laptop_serial_number"
CORRELATION_ID = "correlation_id"


@dataclass(frozen=True)
class Variable:
    """`is_mandatory`: ServiceNow must refuse an order without it."""

    name: str
    label: str
    type: str
    is_mandatory: bool
    has_choices: bool = False


VARIABLES = (
    Variable(LAPTOP_CHOICES, "Laptop", "select_box", is_mandatory=True, has_choices=True),
    Variable(REQUESTED_FOR, "Who is this request for?", "reference", is_mandatory=True),
    Variable(JUSTIFICATION, "Business justification", "multi_line_text", is_mandatory=False),
    Variable(SERIAL_NUMBER, "Serial number of the laptop to be replaced", "single_line_text", is_mandatory=True),
    Variable(CORRELATION_ID, "Correlation id of the confirmation", "single_line_text", is_mandatory=True),
)
