"""The whole product as a fixture."""

from tests.support.encoding import encoder, informed_database_url, informed_template
from tests.support.running_system import system

__all__ = ["encoder", "informed_database_url", "informed_template", "system"]
