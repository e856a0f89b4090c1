"""Tables of the durable engine (`work_queue.py`). Each service writes its own rows: `queue` begins with its name."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, Integer, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared_models.tables.base import NOW, QUEUE_STORAGE, Base, timestamp


class Worker(Base):
    """One row per running process. Written by every service. A lease names a worker; it is free when `alive_until` has passed."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    service: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    alive_until: Mapped[datetime] = mapped_column(timestamp())

    __table_args__ = (Index(None, "alive_until"),)


class Lane(Base):
    """Keeps order: the rows of one (queue, key) run one at a time. Written by every service, its own queues.

    `pending` counts its live rows; `run_at` is when its first row is due; a lease on the lane is a lease on that row."""

    __tablename__ = "lanes"

    queue: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    pending: Mapped[int] = mapped_column(Integer)
    next_seq: Mapped[int] = mapped_column(BigInteger)
    run_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    leased_by: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (
        Index("ix_lanes_due", "queue", "run_at", postgresql_where=text("pending > 0 and leased_by is null")),
        Index("ix_lanes_leased_by", "leased_by", postgresql_where=text("leased_by is not null")),
        Index("ix_lanes_idle", "updated_at", postgresql_where=text("pending = 0 and leased_by is null")),
        QUEUE_STORAGE,
    )


class WorkItem(Base):
    """One piece of work. Written by every service, its own queues. Deleted when done; kept as a dead letter when given up.

    `attempts` counts answered failures, `lost` counts leases lost since the last answer, `claim` is the fence that a completion must carry."""

    __tablename__ = "work_items"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    queue: Mapped[str] = mapped_column(Text)
    key: Mapped[str | None] = mapped_column(Text)
    seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    ref: Mapped[str] = mapped_column(Text, server_default=text("''"))
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    run_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    lost: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    claim: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    leased_by: Mapped[str | None] = mapped_column(Text)
    last_error: Mapped[str | None] = mapped_column(Text)
    dead_at: Mapped[datetime | None] = mapped_column(timestamp())
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (
        Index(
            "ix_work_items_due",
            "queue",
            "run_at",
            "id",
            postgresql_where=text("key is null and leased_by is null and dead_at is null"),
        ),
        Index("ix_work_items_key", "queue", "key", "seq", postgresql_where=text("key is not null and dead_at is null")),
        Index("ix_work_items_leased_by", "leased_by", postgresql_where=text("leased_by is not null")),
        Index("ix_work_items_dead", "queue", "dead_at", postgresql_where=text("dead_at is not null")),
        Index("ix_work_items_ref", "ref", postgresql_where=text("ref <> ''")),
        QUEUE_STORAGE,
    )
