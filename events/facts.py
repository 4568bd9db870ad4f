"""The closed set of facts: frozen, typed, in the past tense.

A fact that is stored has a position in the one log. A message is the commonest: its record
(`db.models.StoredMessage`, an Entry here) is the fact that it was sent. Every other stored fact is
a `Fact` with one of the bodies below; a passing fact (PresenceChanged, TypingChanged) has no
position.

To add a stored fact: write its body here, add it to `Body`, and add it to CONTROLS if it decides
who may send.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar, final

import msgspec


class Placed(Protocol):
    """What has a position in the log: a message or a Fact."""

    @property
    def id(self) -> int:
        """The position in the log."""


class Entry(Placed, Protocol):
    """A message, as far as the feed looks into it."""

    @property
    def created_at(self) -> datetime:
        """When it was stored."""

    @property
    def sender_id(self) -> int:
        """The user who wrote it."""

    @property
    def receiver_id(self) -> int | None:
        """The user to whom it was sent; None for a broadcast."""

    @property
    def conversation_id(self) -> int:
        """Where it was written."""

    @property
    def content(self) -> str:
        """Its text: the part whose size varies."""

    @property
    def metadata_json(self) -> str | None:
        """Its custom data: another such part."""


@final
class Everybody(msgspec.Struct, frozen=True):
    """Everybody except the users whom a block keeps apart from the sender."""

    apart: Collection[int]
    sender_id: int | None = None  # of a fact about a message: the message's sender
    message_id: int | None = None  # only those to whom this message is shown
    if_knows: Callable[[int], bool] | None = None  # only those of whom this is true


class Processes(msgspec.Struct, frozen=True, tag="processes"):
    """No user: the fact is for the server's processes."""


class People(msgspec.Struct, frozen=True, tag="people"):
    """These users, and the server's processes."""

    ids: tuple[int, ...]


class Members(msgspec.Struct, frozen=True, tag="members"):
    """Everybody who is in this group; for the conversation of everybody, all users.

    What concerns one message is for those of them who may see the message.
    """

    conversation_id: int


Audience = Processes | People | Members

# To whom a message goes as it is sent: to these users, to a group's members, or to everybody.
Recipients = tuple[int, ...] | Members | Everybody
# Where the connections are to which a fact goes: users' ids, and ("conversation", a group's id).
Topics = tuple[int | tuple[str, int], ...]


class MessageEdited(msgspec.Struct, frozen=True, tag="message.edited"):
    """The actor has changed the text of a message."""

    message_id: int
    sender_id: int
    conversation_id: int


class MessageDeleted(msgspec.Struct, frozen=True, tag="message.deleted"):
    """The actor has deleted a message: its content is gone, its place stays."""

    message_id: int
    sender_id: int
    conversation_id: int


class ReactionChanged(msgspec.Struct, frozen=True, tag="reaction.changed"):
    """The actor has put an emoji to a message, or has removed it."""

    message_id: int
    sender_id: int  # of the message
    conversation_id: int
    emoji: str
    added: bool


class MarksMoved(msgspec.Struct, frozen=True, tag="marks.moved"):
    """The actor has read a conversation up to a position, or was sent everything up to one."""

    conversation_id: int | None = None  # None: all of the actor's, for `delivered`
    read_position: int | None = None
    delivered_position: int | None = None


class ConversationChanged(msgspec.Struct, frozen=True, tag="conversation.changed"):
    """The actor has changed a group's title, its picture, or what newcomers see."""

    conversation_id: int


class MembersChanged(msgspec.Struct, frozen=True, tag="members.changed"):
    """Users joined a group or left it, or have another role in it now.

    A group begins with the fact that its first members joined. Those who join or leave by the fact
    are among its audience: a live fact is handed out after the one and before the other.
    """

    conversation_id: int
    joined: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()
    # Whether those who joined see what was written before.
    shows_earlier: bool = False


class UserChanged(msgspec.Struct, frozen=True, tag="user.changed"):
    """The actor's name, status text or picture is another one."""


class OwnSettingsChanged(msgspec.Struct, frozen=True, tag="settings.changed"):
    """The actor has changed settings of their own, of one conversation or of the account."""

    conversation_id: int | None = None
    invisible: bool | None = None  # None: as before
    read_receipts: bool | None = None


class ReceiptsChanged(msgspec.Struct, frozen=True, tag="receipts.changed"):
    """Others see the read marks of the actor from now on, or see them no more."""

    shown: bool
    conversation_id: int | None = None  # a group; None: the direct ones with the audience


class BlockChanged(msgspec.Struct, frozen=True, tag="block.changed"):
    """The actor has blocked a user, or has ended the block."""

    user_id: int
    blocked: bool


class SessionEnded(msgspec.Struct, frozen=True, tag="session.ended"):
    """Sessions of the actor have ended."""

    session_ids: tuple[int, ...]
    # Whether the tokens that name no session ended too.
    older_tokens: bool = False


class SessionRenewed(msgspec.Struct, frozen=True, tag="session.renewed"):
    """A session of the actor lasts longer now."""

    session_id: int
    expires_at: datetime


class AccountChanged(msgspec.Struct, frozen=True, tag="account.changed"):
    """The actor's account was disabled, enabled or deleted, or gained or lost its rights."""

    disabled: bool
    deleted: bool
    is_admin: bool
    # The sessions that ended by it, with the tokens that name none.
    ended_sessions: tuple[int, ...] | None = None


class BroadcastChanged(msgspec.Struct, frozen=True, tag="broadcast.changed"):
    """The operator has changed who may write to everybody (BROADCAST)."""

    allowed: str


class Unreadable(msgspec.Struct, frozen=True, tag="unreadable"):
    """The stored body could not be read; the position is passed over."""

    kind: str


Body = (
    MessageEdited
    | MessageDeleted
    | ReactionChanged
    | MarksMoved
    | ConversationChanged
    | MembersChanged
    | UserChanged
    | OwnSettingsChanged
    | ReceiptsChanged
    | BlockChanged
    | SessionEnded
    | SessionRenewed
    | AccountChanged
    | BroadcastChanged
    | Unreadable
)
B = TypeVar("B", bound=Body)

# The facts that decide who may send: they are applied before any later message is admitted.
CONTROLS = (BlockChanged, AccountChanged, BroadcastChanged, MembersChanged)
# The facts that users are shown. The others are for the server's processes.
SHOWN = (
    MessageEdited,
    MessageDeleted,
    ReactionChanged,
    MarksMoved,
    ConversationChanged,
    MembersChanged,
    UserChanged,
    OwnSettingsChanged,
    ReceiptsChanged,
    BlockChanged,
)
OF_MESSAGES = (MessageEdited, MessageDeleted, ReactionChanged)


@final
class Fact(msgspec.Struct, frozen=True):
    """Something other than a message that was committed, at its position in the log."""

    id: int  # the position
    created_at: datetime
    actor_id: int | None  # None: the operator
    audience: Audience
    body: Body
    # The message that it is about, as the message is now: the stored row has its id alone. So a
    # replay shows no text that was deleted since.
    record: Entry | None = None

    @property
    def is_control(self) -> bool:
        """Whether the fact decides who may send."""
        return isinstance(self.body, CONTROLS)

    @property
    def is_shown(self) -> bool:
        """Whether users are shown the fact."""
        return isinstance(self.body, SHOWN)

    @property
    def message_id(self) -> int | None:
        """The message that it is about; None if it is about none."""
        return self.body.message_id if isinstance(self.body, OF_MESSAGES) else None

    @property
    def is_whole(self) -> bool:
        """Whether it has the record of the message that it is about."""
        return self.record is not None or not isinstance(self.body, OF_MESSAGES)


class PresenceChanged(msgspec.Struct, frozen=True):
    """A user came online with the first connection, or went offline with the last.

    With `seen_by` it is for this one person alone: a block between the two began or ended.
    """

    user_id: int
    online: bool
    last_seen_at: datetime | None = None
    seen_by: int | None = None


class Activity(StrEnum):
    """What a user does in a conversation before a message comes of it."""

    TYPING = "TYPING"
    RECORDING = "RECORDING"
    NONE = "NONE"


class TypingChanged(msgspec.Struct, frozen=True):
    """A user types or records in a conversation, or does so no longer."""

    user_id: int
    activity: Activity
    at: datetime
    peer_id: int | None  # the other person of a direct conversation; None for a group
    conversation_id: int | None = None  # None: the two have not exchanged a message yet
