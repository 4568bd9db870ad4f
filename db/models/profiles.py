"""The table of profile pictures."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String
from sqlmodel import Field, SQLModel

from db.models.tables import TABLE_OPTIONS, BigId, UTCDateTime


def _column(type_: Any, *constraints: Any, **options: Any) -> Any:
    return Field(sa_column=Column(type_, *constraints, nullable=False, **options))


class Avatar(SQLModel, table=True):
    """A profile picture in two square sizes, which the store has under names made of the key.

    A row that is not in use is an update that is under way, or a picture that was replaced. After
    a day the sweep claims such a row by a negative `large_size`, and removes it.
    """

    __tablename__ = "avatars"
    __table_args__ = (
        Index("ix_avatars_used_changed", "in_use", "changed_at"),
        Index("ix_avatars_owner", "owner_id"),
        TABLE_OPTIONS,
    )

    # Random, so that nobody guesses the picture's address; 32 hexadecimal digits.
    key: str = _column(String(32), primary_key=True)
    owner_id: int = _column(BigId, ForeignKey("users.id", name="fk_avatars_owner"))
    large_size: int = _column(BigInteger())
    small_size: int = _column(BigInteger())
    in_use: bool = _column(Boolean())
    changed_at: datetime = _column(UTCDateTime())
