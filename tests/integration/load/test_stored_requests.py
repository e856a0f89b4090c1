"""Repeating the rows of one request, on the real tables."""

import asyncpg
from local_stack.postgres import PostgresCluster

from tests.load.stored import store_requests
from tests.support.database import temporary_database

ROWS = (
    "insert into users (user_id, email) select uuidv7(), n || '@example.com' from generate_series(1, 3) n",
    "insert into conversations (session_id, user_id, integration_type, key, expires_at)"
    " select uuidv7(), user_id, 'web', 'k', now() from users limit 1",
    "insert into request_logs (request_id, session_id, user_id, sequence, caller, integration_type, request_type,"
    " named_session, stream, content, extra, metadata, wants_delivery, status, created_at, deadline_at)"
    " select uuidv7(), session_id, user_id, 1, 'c', 'web', 'message', false, false, 'x', '{}', '{}', false, 'completed',"
    " now(), now() from conversations",
    "insert into session_messages (request_id, role, session_id, seq, content)"
    " select request_id, role, session_id, 1, 'x' from request_logs, unnest(array['user', 'assistant']) role",
)


async def test_every_row_of_a_request_is_repeated_with_ids_that_belong_together(
    postgres_cluster: PostgresCluster, migrated_template: str
) -> None:
    with temporary_database(postgres_cluster, migrated_template) as url:
        connection = await asyncpg.connect(url)
        for statement in ROWS:
            await connection.execute(statement)
        request_id = await connection.fetchval("select request_id from request_logs")
        assert store_requests(url, request_id, 50) == 51
        joined = "select count(distinct {}) from request_logs join conversations using (session_id, user_id)"
        assert await connection.fetchval(joined.format("request_id")) == 51
        assert await connection.fetchval(joined.format("session_id")) == 51
        assert await connection.fetchval(joined.format("user_id")) == 3
        messages = "select count(*) from session_messages join request_logs using (request_id, session_id)"
        assert await connection.fetchval(messages + " where role in ('user', 'assistant')") == 102
        await connection.close()
