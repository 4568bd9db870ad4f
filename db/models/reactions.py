"""The tables of reactions to messages."""

from datetime import datetime

from sqlalchemy import Index, Integer, String
from sqlmodel import SQLModel

from db.models.tables import TABLE_OPTIONS, UTCDateTime, _column, _key_reference

# An emoji in its one form; the longest has 35 bytes.
Emoji = String(32)
# So many users as a reaction shows, in JSON.
FirstUsers = String(500)


class Reaction(SQLModel, table=True):
    """An emoji with which a user has reacted to a message."""

    __tablename__ = "reactions"
    __table_args__ = (
        Index("ix_reactions_emoji", "message_id", "emoji", "created_at"),
        Index("ix_reactions_user", "user_id"),  # MySQL wants one for the reference
        TABLE_OPTIONS,
    )

    message_id: int = _key_reference("fk_reactions_message", "messages.id")
    user_id: int = _key_reference("fk_reactions_user")
    emoji: str = _column(Emoji, primary_key=True)
    created_at: datetime = _column(UTCDateTime())


class ReactionCount(SQLModel, table=True):
    """How many users have reacted to a message with an emoji, so that no page counts them."""

    __tablename__ = "reaction_counts"
    __table_args__ = TABLE_OPTIONS

    message_id: int = _key_reference("fk_reaction_counts_message", "messages.id")
    emoji: str = _column(Emoji, primary_key=True)
    # The order in which the emoji came to the message.
    number: int = _column(Integer)
    count: int = _column(Integer)
    # Those who reacted first, as many as are shown.
    first_users: str = _column(FirstUsers)
