"""Which schema this code was built for, without loading Alembic and SQLAlchemy into every service (30 MB each)."""

from pathlib import Path

from shared_models.database import Database

VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest_version() -> str:
    """The newest migration's revision. Files are named `<revision>_<subject>.py`, revisions are numbers of four digits."""
    return max(path.name[:4] for path in VERSIONS.glob("[0-9][0-9][0-9][0-9]_*.py"))


async def is_current(database: Database) -> bool:
    """True when the schema is at least the one this code was built for (readiness)."""
    found = await database.fetchval("select version_num from alembic_version")
    return isinstance(found, str) and found >= newest_version()
