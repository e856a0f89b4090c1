"""Many stored requests at once: the rows of one finished request, repeated with ids of their own."""

import asyncpg

from tests.load.cluster import with_connection

# The engine's own tables hold what is under way, never what is stored.
NOT_STORED = frozenset({"work_items", "lanes", "workers"})
BELONGS_TO_A_REQUEST = ("request_id", "session_id")


def store_requests(database_url: str, request_id: str, count: int) -> int:
    """Repeat every row that belongs to this request or its session `count` times. Returns the number of stored requests."""

    async def store(connection: asyncpg.Connection) -> int:
        owner = await connection.fetchrow(
            "select request_id, session_id from request_logs where request_id = $1", request_id
        )
        people = [row["user_id"] for row in await connection.fetch("select user_id from users limit 10000")]
        async with connection.transaction():
            await connection.execute("set local session_replication_role = replica")  # no checks of references
            for table in await _tables(connection):
                await connection.execute(await _repeat(connection, table), *owner, people, count)
        await connection.execute("vacuum analyze")
        return int(await connection.fetchval("select count(*) from request_logs"))

    return with_connection(database_url, store)


async def _tables(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "select distinct table_name from information_schema.columns join information_schema.tables using (table_schema, table_name)"
        " where table_schema = 'public' and table_type = 'BASE TABLE' and column_name = any($1) order by 1",
        BELONGS_TO_A_REQUEST,
    )
    return [row["table_name"] for row in rows if row["table_name"] not in NOT_STORED]


async def _repeat(connection: asyncpg.Connection, table: str) -> str:
    """The statement for one table: $1 request id, $2 session id, $3 people, $4 count. Ids and keys differ per repetition."""
    columns = await connection.fetch(
        "select column_name, data_type from information_schema.columns where table_schema = 'public' and table_name = $1"
        " and is_identity = 'NO' and is_generated = 'NEVER' order by ordinal_position",
        table,
    )
    unique = {row["attname"] for row in await connection.fetch(_UNIQUE_TEXT, table)}
    names = [row["column_name"] for row in columns]
    values = [_value(table, row["column_name"], row["data_type"], row["column_name"] in unique) for row in columns]
    owners = [f't."{name}" = ${place}' for place, name in enumerate(BELONGS_TO_A_REQUEST, start=1) if name in names]
    has_types = "$1::uuid is not null and $2::uuid is not null and $3::uuid[] is not null"
    return (
        f"insert into {table} ({', '.join(_quoted(names))}) select {', '.join(values)}"
        f" from {table} t cross join generate_series(1, $4::int) g(nth) where ({' or '.join(owners)}) and {has_types}"
    )


# Text columns of unique indexes that have no id of a request or session in them.
_UNIQUE_TEXT = """
select distinct a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
where i.indrelid = $1::text::regclass and i.indisunique and a.atttypid = 'text'::regtype and not exists (
    select from pg_attribute o where o.attrelid = i.indrelid and o.attnum = any(i.indkey)
    and o.atttypid = 'uuid'::regtype and o.attname <> 'user_id')
"""


def _value(table: str, name: str, kind: str, is_unique_text: bool) -> str:
    """What a column of the n-th repetition holds: references are mapped alike in every table."""
    column = f't."{name}"'
    if name == "user_id":
        return "($3::uuid[])[1 + g.nth % cardinality($3::uuid[])]"
    if kind == "uuid":
        of = "" if name in BELONGS_TO_A_REQUEST else f"{table}.{name}."
        return f"md5('{of}' || {column}::text || g.nth)::uuid"
    return f"{column} || '-' || g.nth" if is_unique_text else column


def _quoted(names: list[str]) -> list[str]:
    return [f'"{name}"' for name in names]
