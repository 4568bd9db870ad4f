"""Conversations and their members as one user sees them."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from db.models.records import ConversationKind


class Place(NamedTuple):
    """Where a conversation stands in the list: the pinned ones first, then the latest."""

    pinned: bool
    position: int


class ListedConversation(msgspec.Struct, frozen=True, gc=False):
    """A conversation as one of its members sees it."""

    id: int
    kind: ConversationKind
    title: str | None
    created_at: datetime
    peer_id: int | None  # the other person of a direct one; oneself in notes to oneself
    role: str
    # The member may see what lies past the one position and up to the other.
    after: int
    upto: int
    left_position: int | None
    read_position: int
    muted_until: datetime | None
    archived: bool
    pinned: bool
    last_position: int  # of the last message that the member may see; 0 without any
    place: Place
    # Of a group: the attachment that is its picture, and whether newcomers see what was before.
    avatar_id: int | None = None
    shows_earlier: bool = False


class StoredMember(NamedTuple):
    """A user's part in a conversation, as other members may know it."""

    conversation_id: int
    user_id: int
    role: str
    read_position: int
    delivered_position: int
    read_receipts: bool
    joined_at: datetime | None  # the group

    @property
    def id(self) -> int:
        """By which pages of members go on."""
        return self.user_id
