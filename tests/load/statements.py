"""SQL statements by service, from pg_stat_statements."""

from tests.load.cluster import sql

# Each service connects with a role of its own.
_BY_ROLE = """
select r.rolname as role, sum(s.calls)::bigint as calls from pg_stat_statements s join pg_roles r on r.oid = s.userid
where r.rolname like 'ssa\\_%' group by 1
"""


def reset_statements(database_url: str) -> None:
    sql(database_url, "select pg_stat_statements_reset()")


def count_statements(database_url: str) -> dict[str, int]:
    """Statements since the last reset by the role of the service that sent them, transaction control included."""
    return {row["role"]: row["calls"] for row in sql(database_url, _BY_ROLE)}
