"""The table of what those who have left a group are shown of messages that changed afterwards."""

from datetime import datetime

from sqlalchemy import String, Text, text
from sqlmodel import SQLModel

from db.models.tables import TABLE_OPTIONS, BigId, UTCDateTime, _column, _key_reference


class LeftMessage(SQLModel, table=True):
    """A message of a group, as it was for those who left the group up to `left_position`.

    It is stored by the first change to the message that somebody who had left may not see. With
    several rows, each reader's is the first whose position is not before their leaving.
    """

    __tablename__ = "left_messages"
    __table_args__ = TABLE_OPTIONS

    message_id: int = _key_reference("fk_left_messages_message", "messages.id")
    left_position: int = _column(BigId, primary_key=True, autoincrement=False)
    conversation_id: int = _column(BigId, server_default=text("0"))
    kind: str = _column(String(8))
    content: str = _column(Text)
    metadata_json: str | None = _column(Text, nullable=True)
    edited_at: datetime | None = _column(UTCDateTime(), nullable=True)
    # All reactions to the message, in JSON.
    reactions: str = _column(Text)
