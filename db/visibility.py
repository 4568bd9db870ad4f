"""Who may see a message: the one rule, for queries and for a message that a process has at hand.

People see what they sent and what was sent to them. Everybody sees a broadcast, except people whom
a block keeps apart from its sender, and people who came after it (`broadcasts_after`). A group's
members see what was written while they were in it, whoever has blocked whom; where newcomers see
what was before, that too. The older wires show no group's messages. A generated test holds both
forms of the rule together (tests/db/test_visibility.py).
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, exists, or_, true
from sqlmodel import col

from db.models import EVERYBODY_ID, Member, Message
from db.people.blocks import not_apart
from events.facts import (
    OF_MESSAGES,
    Entry,
    Everybody,
    Fact,
    MarksMoved,
    Members,
    People,
    Processes,
    ReceiptsChanged,
    Recipients,
    Topics,
    UserChanged,
)

# In queries.


def shown_broadcast(
    viewer_id: Any, broadcasts_after: Any, *, has_blocks: bool = True
) -> ColumnElement[bool]:
    """Whether a message is a broadcast that the viewer may see, whoever sent it.

    One range of ix_messages_conversation. Without `has_blocks` there is no look at the sender.
    """
    everybodys = col(Message.conversation_id) == EVERYBODY_ID
    broadcast = and_(everybodys, col(Message.id) > broadcasts_after)
    return (
        and_(broadcast, not_apart(viewer_id, col(Message.sender_id))) if has_blocks else broadcast
    )


def ways_to_see(
    viewer_id: Any, broadcasts_after: Any, *, has_blocks: bool = True, groups: bool = False
) -> tuple[ColumnElement[bool], ...]:
    """Return the reasons for which the viewer may see a message: each is a range of an index.

    Except that of being in its group, which is a range for each group (db/groups/pages.py). Without
    `groups`, what the viewer wrote in one is left out too.
    """
    return (
        and_(col(Message.sender_id) == viewer_id, true() if groups else ~of_a_group()),
        col(Message.receiver_id) == viewer_id,
        shown_broadcast(viewer_id, broadcasts_after, has_blocks=has_blocks),
    )


def of_a_group() -> ColumnElement[bool]:
    """Whether a message was written in a group."""
    is_none = col(Message.receiver_id).is_(None)
    return and_(is_none, col(Message.conversation_id) != EVERYBODY_ID)


def shown_in_group(viewer_id: Any) -> ColumnElement[bool]:
    """Whether a message was written in a group while the viewer was in it: a look-up by key."""
    left = col(Member.left_position)
    return exists().where(
        col(Member.conversation_id) == col(Message.conversation_id),
        col(Member.user_id) == viewer_id,
        col(Member.is_group),
        col(Member.sees_after) < col(Message.id),
        or_(left.is_(None), left > col(Message.id)),
    )


def visible(viewer_id: Any, broadcasts_after: Any, *, groups: bool = True) -> ColumnElement[bool]:
    """Whether the viewer may see a message: for messages that are found by their ids."""
    ways = ways_to_see(viewer_id, broadcasts_after, groups=groups)
    return or_(*ways, shown_in_group(viewer_id)) if groups else or_(*ways)


# For a message at hand.


class Stay(NamedTuple):
    """What a user sees of a group: what lies past the one position and before the other."""

    sees_after: int
    left_position: int | None

    def shows(self, position: int) -> bool:
        """Whether the user sees what stands at this position of the log."""
        return self.sees_after < position and (
            self.left_position is None or position < self.left_position
        )

    def shows_fact(self, fact: Fact) -> bool:
        """Whether the user is shown a fact of the group: from joining to leaving, both included.

        One about a message concerns those who may see the message.
        """
        left = self.left_position
        within = self.sees_after <= fact.id and (left is None or fact.id <= left)
        return within and (fact.message_id is None or self.shows(fact.message_id))


# The facts about marks: not all of their audience may know of each.
OF_RECEIPTS = (MarksMoved, ReceiptsChanged)
# A user's stays, by the groups; None where they are not known now.
StaysOf = Callable[[int], Mapping[int, Stay] | None]


class Visibility:
    """The rule for live messages, with the blocks that this process knows of.

    `apart` says, live, whom blocks keep apart from each user, and `stays_of` in which groups a user
    is or was, as of the last message that was handed out. `knows(viewer, user)` says who may find
    whom; None where everybody may find everybody. `hiding` are, live, those who neither show
    their read marks nor see others'.
    """

    def __init__(
        self,
        apart: Mapping[int, Collection[int]],
        stays_of: StaysOf = lambda user_id: {},
        *,
        knows: Callable[[int, int], bool] | None = None,
        hiding: Collection[int] = (),
    ) -> None:
        self._apart = apart
        self._hiding = hiding
        self._stays_of = stays_of
        self._knows = knows

    def recipients(self, message: Entry) -> Recipients:
        """Return the people who may see the message, now that it is sent."""
        sender_id, receiver_id = message.sender_id, message.receiver_id
        if receiver_id is None:
            if message.conversation_id != EVERYBODY_ID:
                return Members(message.conversation_id)
            return Everybody(self._apart.get(sender_id, ()))
        return (sender_id,) if receiver_id == sender_id else (sender_id, receiver_id)

    def knows_groups_of(self, viewer_id: int) -> bool:
        """Whether `shows` can tell which messages of groups the viewer sees."""
        return self._stays_of(viewer_id) is not None

    def shows(
        self, message: Entry, viewer_id: int, broadcasts_after: int, *, groups: bool = True
    ) -> bool:
        """Whether the viewer may see the message, which was sent before; `groups`: a group's too.

        Ask `knows_groups_of` first: who is not known sees no group.
        """
        recipients = self.recipients(message)
        if type(recipients) is tuple:
            return viewer_id in recipients
        if type(recipients) is Members:
            if not groups:
                return False
            if viewer_id == message.sender_id:
                return True
            stay = (self._stays_of(viewer_id) or {}).get(message.conversation_id)
            return stay is not None and stay.shows(message.id)
        assert type(recipients) is Everybody  # noqa: S101  # there is nobody else
        return viewer_id == message.sender_id or (
            message.id > broadcasts_after and viewer_id not in recipients.apart
        )

    def fact_recipients(self, fact: Fact) -> Topics | Everybody:
        """Return the topics of those who are shown the fact, now that it is stored.

        Of a group's members only those for whom `shown_to` says so are shown it.
        """
        audience, body = fact.audience, fact.body
        if isinstance(audience, People):
            if isinstance(body, OF_RECEIPTS):
                return tuple(id_ for id_ in audience.ids if self.may_know(fact, id_))
            return audience.ids
        if isinstance(audience, Processes):
            return ()
        if audience.conversation_id != EVERYBODY_ID:
            return (("conversation", audience.conversation_id),)
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

    def shown_to(self, fact: Fact) -> Callable[[int], object] | None:
        """Return to which of a group's members the fact is shown as it is stored; None: to all."""
        if fact.message_id is not None:
            return partial(self.shows_fact, fact, broadcasts_after=0)
        if isinstance(fact.body, OF_RECEIPTS):
            return partial(self.may_know, fact)
        return None

    def may_know(self, fact: Fact, viewer_id: int) -> bool:
        """Whether the viewer may know of a read mark, if the fact is about any.

        Those who hide theirs see none of others', now and of before.
        """
        body, actor_id, hiding = fact.body, fact.actor_id, self._hiding
        if type(body) is MarksMoved:
            if body.read_position is None or viewer_id == actor_id:
                return True
            return viewer_id not in hiding and actor_id not in hiding
        if type(body) is ReceiptsChanged:
            # The actor's own clients hear of the setting.
            return viewer_id != actor_id and viewer_id not in hiding
        return True

    def shows_fact(
        self, fact: Fact, viewer_id: int, broadcasts_after: int, *, groups: bool = True
    ) -> bool | None:
        """Whether the viewer is shown the fact, which was stored before; of a group if `groups`.

        None where the database has to be asked.
        """
        if isinstance(fact.audience, Members) and fact.audience.conversation_id != EVERYBODY_ID:
            if not groups:
                return False
            stays = self._stays_of(viewer_id)
            if stays is None:
                return None
            stay = stays.get(fact.audience.conversation_id)
            return stay is not None and stay.shows_fact(fact) and self.may_know(fact, viewer_id)
        recipients = self.fact_recipients(fact)
        if type(recipients) is not Everybody:
            return viewer_id in recipients
        if viewer_id == recipients.sender_id:
            return True
        if recipients.if_knows is not None and not recipients.if_knows(viewer_id):
            return False
        message_id = recipients.message_id
        return viewer_id not in recipients.apart and (
            message_id is None or message_id > broadcasts_after
        )
