"""The table of what messages said before they were edited."""

from datetime import datetime

from sqlalchemy import Integer, Text
from sqlmodel import SQLModel

from db.models.tables import TABLE_OPTIONS, UTCDateTime, _column, _key_reference


class MessageEdit(SQLModel, table=True):
    """An earlier text of a message, and when the next text took its place."""

    __tablename__ = "message_edits"
    __table_args__ = TABLE_OPTIONS

    message_id: int = _key_reference("fk_message_edits_message", "messages.id")
    # 1 for the text that was sent.
    number: int = _column(Integer, primary_key=True, autoincrement=False)
    content: str = _column(Text)
    edited_at: datetime = _column(UTCDateTime())
