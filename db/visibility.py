"""Which messages somebody may see: the one predicate, in the forms that queries need."""

from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import col

from db.blocks import not_apart
from db.models import Message


def shown_broadcast(
    viewer_id: Any, broadcasts_after: Any, *, has_blocks: bool = True
) -> ColumnElement[bool]:
    """Whether a message is a broadcast past this position, from nobody whom a block keeps apart.

    One range of ix_messages_receiver. Without `has_blocks` there is no look at the sender.
    """
    broadcast = and_(col(Message.receiver_id).is_(None), col(Message.id) > broadcasts_after)
    return (
        and_(broadcast, not_apart(viewer_id, col(Message.sender_id))) if has_blocks else broadcast
    )


def ways_to_see(
    viewer_id: Any, broadcasts_after: Any, *, has_blocks: bool = True
) -> tuple[ColumnElement[bool], ...]:
    """Return the reasons for which the viewer may see a message: each is a range of an index."""
    return (
        col(Message.sender_id) == viewer_id,
        col(Message.receiver_id) == viewer_id,
        shown_broadcast(viewer_id, broadcasts_after, has_blocks=has_blocks),
    )


def visible(viewer_id: Any, broadcasts_after: Any) -> ColumnElement[bool]:
    """Whether the viewer may see a message: for messages that are found by their ids."""
    return or_(*ways_to_see(viewer_id, broadcasts_after))
