"""When a provider may be called next, for all replicas together: the pace per conversation, and times in which it has asked for none."""

from dataclasses import dataclass

from shared_models.database import Database

# $1 the method's window, $2 the conversation's, $3 its pace, $4 the longest wait for which a turn is taken.
TURN = """
with closed as (
  select extract(epoch from free_at - now())::float8 as left_s from send_windows where name = $1 and free_at > now()
), turn as (
  insert into send_windows as w (name, free_at)
  select $2::text, now() + $3::float8 * interval '1 second' where $3::float8 > 0 and not exists (select from closed)
  on conflict (name) do update set free_at = greatest(w.free_at, now()) + $3::float8 * interval '1 second'
  where w.free_at <= now() + $4::float8 * interval '1 second'
  returning extract(epoch from free_at - now())::float8 - $3::float8 as wait_s
)
select coalesce((select left_s from closed), 0) as closed_s,
       coalesce((select wait_s from turn),
                (select extract(epoch from free_at - now())::float8 from send_windows where name = $2), 0) as wait_s
"""
CLOSE = """
insert into send_windows as w (name, free_at) values ($1, now() + $2::float8 * interval '1 second')
on conflict (name) do update set free_at = greatest(w.free_at, excluded.free_at)
"""


@dataclass(frozen=True)
class Turn:
    """`closed_s`: for how long nobody may call; else `wait_s` until this caller's turn, which is taken if it is short enough."""

    closed_s: float
    wait_s: float


async def take_turn(db: Database, method: str, conversation: str, every_s: float, max_wait_s: float) -> Turn:
    """`every_s` 0: only look whether the method is closed. Raises Unavailable."""
    row = await db.fetchrow(TURN, method, conversation, every_s, max_wait_s)
    assert row is not None
    return Turn(**dict(row))


async def close(db: Database, name: str, for_s: float) -> None:
    """Raises Unavailable."""
    await db.execute(CLOSE, name, for_s)
