"""The table of who is shown which facts."""

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from db.models.tables import TABLE_OPTIONS, BigId


class LogPerson(SQLModel, table=True):
    """A user is shown the fact at this position; a row for each of a fact's People."""

    __tablename__ = "log_people"
    __table_args__ = (Index("ix_log_people_position", "position"), TABLE_OPTIONS)

    user_id: int = Field(
        sa_column=Column(BigId, primary_key=True, autoincrement=False, nullable=False)
    )
    position: int = Field(
        sa_column=Column(BigId, primary_key=True, autoincrement=False, nullable=False)
    )
