"""Tables of integration-dispatcher, their only writer: messages at the SMS provider, and phones."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, Index, Integer, SmallInteger, Text, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from shared_models.tables.base import NOW, Base, timestamp


class SmsMessage(Base):
    """What the SMS provider says of one message, by the provider's name for it. Written by integration-dispatcher.

    The message is that part of that delivery; without a delivery it is a text of a person, kept so that a repetition is
    recognised. `rank` orders the states; `is_due`: it was not delivered, and the delivery does not say so yet."""

    __tablename__ = "sms_messages"

    sid: Mapped[str] = mapped_column(Text, primary_key=True)
    delivery_id: Mapped[UUID | None] = mapped_column(Uuid)
    part: Mapped[int | None] = mapped_column(SmallInteger)
    status: Mapped[str] = mapped_column(Text)
    rank: Mapped[int] = mapped_column(SmallInteger)
    error_code: Mapped[int | None] = mapped_column(Integer)
    is_due: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)

    __table_args__ = (
        Index("ix_sms_messages_delivery", "delivery_id", "part", postgresql_where=text("delivery_id is not null")),
        Index("ix_sms_messages_due", "updated_at", postgresql_where=text("is_due")),
        Index("ix_sms_messages_created", "created_at"),
    )


class SmsPhone(Base):
    """What a phone (E.164) has told us. Written by integration-dispatcher. `stopped_at`: it wants no messages (STOP)."""

    __tablename__ = "sms_phones"

    phone: Mapped[str] = mapped_column(Text, primary_key=True)
    stopped_at: Mapped[datetime | None] = mapped_column(timestamp())
    answered_at: Mapped[datetime | None] = mapped_column(timestamp())
    created_at: Mapped[datetime] = mapped_column(timestamp(), server_default=NOW)
