"""Who may see a message: the one rule, for queries and for a message that a process has at hand.

People see what they sent and what was sent to them. Everybody sees a broadcast, except people whom
a block keeps apart from its sender, and people who came after it (`broadcasts_after`). A generated
test holds both forms of the rule together (tests/db/test_visibility.py).
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import col

from db.blocks import not_apart
from db.models import Message
from events.facts import Entry, Everybody, Recipients

# In queries.


def shown_broadcast(
    viewer_id: Any, broadcasts_after: Any, *, has_blocks: bool = True
) -> ColumnElement[bool]:
    """Whether a message is a broadcast that the viewer may see, whoever sent it.

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


# For a message at hand.


class Visibility:
    """The rule for live messages, with the blocks that this process knows of.

    `apart` says, live, whom blocks keep apart from each user.
    """

    def __init__(self, apart: Mapping[int, Collection[int]]) -> None:
        self._apart = apart

    def recipients(self, message: Entry) -> Recipients:
        """Return the people who may see the message, now that it is sent."""
        sender_id, receiver_id = message.sender_id, message.receiver_id
        if receiver_id is None:
            return Everybody(self._apart.get(sender_id, ()))
        return (sender_id,) if receiver_id == sender_id else (sender_id, receiver_id)

    def shows(self, message: Entry, viewer_id: int, broadcasts_after: int) -> bool:
        """Whether the viewer may see the message, which was sent before."""
        recipients = self.recipients(message)
        if type(recipients) is not Everybody:
            return viewer_id in recipients
        return viewer_id == message.sender_id or (
            message.id > broadcasts_after and viewer_id not in recipients.apart
        )
