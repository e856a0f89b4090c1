"""API keys for the people of the ServiceNow stand-in."""

from request_manager.bootstrap import Wanted, ensure_person
from shared_models.enums import Role


async def api_key_of(database_url: str, name: str, role: Role = Role.USER) -> str:
    """A key of `name`@example.com, who is made if need be."""
    wanted = Wanted(f"{name}@example.com", name.capitalize(), role)
    return (await ensure_person(database_url, wanted)).api_key
