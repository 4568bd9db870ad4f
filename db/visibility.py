"""Who may see a message: the one rule, for queries and for a message that a process has at hand.

People see what they sent and what was sent to them. Everybody sees a broadcast, except people whom
a block keeps apart from its sender, and people who came after it (`broadcasts_after`). A generated
test holds both forms of the rule together (tests/db/test_visibility.py).
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import col

from db.blocks import not_apart
from db.models import EVERYBODY_ID, Message
from events.facts import (
    OF_MESSAGES,
    Entry,
    Everybody,
    Fact,
    MembersChanged,
    People,
    Processes,
    Recipients,
    Topics,
    UserChanged,
)

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

    `apart` says, live, whom blocks keep apart from each user. `knows(viewer, user)` says who may
    find whom; None where everybody may find everybody.
    """

    def __init__(
        self,
        apart: Mapping[int, Collection[int]],
        *,
        knows: Callable[[int, int], bool] | None = None,
    ) -> None:
        self._apart = apart
        self._knows = knows

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

    def fact_recipients(self, fact: Fact) -> Topics | Everybody:
        """Return the topics of those who are shown the fact, now that it is stored."""
        audience, body = fact.audience, fact.body
        if isinstance(audience, People):
            return audience.ids
        if isinstance(audience, Processes):
            return ()
        if audience.conversation_id != EVERYBODY_ID:
            group = ("conversation", audience.conversation_id)
            # Who has left hears of it, and hears nothing after it.
            return (group, *body.left) if isinstance(body, MembersChanged) else (group,)
        if isinstance(body, OF_MESSAGES):
            apart = self._apart.get(body.sender_id, ())
            return Everybody(apart, body.sender_id, body.message_id)
        if isinstance(body, UserChanged):
            return self._who_know(fact.actor_id)
        return Everybody(() if fact.actor_id is None else self._apart.get(fact.actor_id, ()))

    def _who_know(self, user_id: int | None) -> Everybody:
        """Return who may find the user. A block hides no name, so that queries show it too."""
        knows = self._knows
        if knows is None or user_id is None:
            return Everybody(())
        return Everybody((), if_knows=lambda viewer_id: knows(viewer_id, user_id))

    def shows_fact(self, fact: Fact, viewer_id: int, broadcasts_after: int) -> bool | None:
        """Whether the viewer is shown the fact, which was stored before.

        None where the database has to be asked.
        """
        recipients = self.fact_recipients(fact)
        if type(recipients) is not Everybody:
            return viewer_id in recipients or (None if _is_for_group(recipients) else False)
        if viewer_id == recipients.sender_id:
            return True
        if recipients.if_knows is not None and not recipients.if_knows(viewer_id):
            return False
        message_id = recipients.message_id
        return viewer_id not in recipients.apart and (
            message_id is None or message_id > broadcasts_after
        )


def _is_for_group(topics: Topics) -> bool:
    return any(type(topic) is tuple for topic in topics)
