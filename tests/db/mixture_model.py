"""What a mixture of changes comes to, by a model of the facts in their order."""

from db.models import StoredMessage
from events.facts import (
    AccountChanged,
    BlockChanged,
    BroadcastChanged,
    Fact,
    MarksMoved,
    MessageDeleted,
    MessageEdited,
)


class Model:
    """Who may send to whom, by the facts so far."""

    def __init__(self) -> None:
        self.blocked: set[tuple[int, int]] = set()
        self.disabled: set[int] = set()
        self.deleted: set[int] = set()
        self.admins: set[int] = set()
        self.allowed = "everyone"
        self.read: dict[tuple[int, int], int] = {}  # by conversation and user
        self.messages: dict[int, StoredMessage] = {}
        self.edited: set[int] = set()
        self.erased: set[int] = set()

    def take(self, entry: StoredMessage | Fact) -> None:
        """Assert that the entry could be stored now, and take over what it says."""
        if isinstance(entry, StoredMessage):
            self.messages[entry.id] = entry
            sender, receiver = entry.sender_id, entry.receiver_id
            assert sender not in self.disabled | self.deleted, entry
            assert receiver not in self.deleted, entry
            assert not {(sender, receiver), (receiver, sender)} & self.blocked, entry
            if receiver is None and self.allowed != "everyone":
                assert self.allowed == "admins", entry
                assert sender in self.admins, entry
            return
        match entry.body:
            case BlockChanged(user_id, blocked):
                pair = (entry.actor_id or 0, user_id)
                assert (pair in self.blocked) is not blocked
                (self.blocked.add if blocked else self.blocked.discard)(pair)
            case AccountChanged(disabled, deleted, is_admin):
                user = entry.actor_id or 0
                assert user not in self.deleted
                for known, there in (
                    (self.disabled, disabled),
                    (self.deleted, deleted),
                    (self.admins, is_admin),
                ):
                    (known.add if there else known.discard)(user)
            case BroadcastChanged(allowed):
                assert allowed != self.allowed
                self.allowed = allowed
            case MarksMoved(conversation_id, read_position) if conversation_id and read_position:
                key = (conversation_id, entry.actor_id or 0)
                assert self.read.get(key, 0) < read_position < entry.id
                assert self.messages[read_position].conversation_id == conversation_id
                self.read[key] = read_position
            case MessageEdited(message_id):
                message = self._changed(entry, message_id)
                other = message.receiver_id
                assert message_id not in self.erased, entry
                assert other not in self.deleted, entry
                assert not {(entry.actor_id, other), (other, entry.actor_id)} & self.blocked
                if other is None and self.allowed != "everyone":
                    assert self.allowed == "admins", entry
                    assert entry.actor_id in self.admins, entry
                self.edited.add(message_id)
            case MessageDeleted(message_id):
                self._changed(entry, message_id)
                assert message_id not in self.erased, entry
                self.erased.add(message_id)

    def _changed(self, fact: Fact, message_id: int) -> StoredMessage:
        message = self.messages[message_id]
        assert fact.actor_id == message.sender_id, fact
        assert fact.actor_id not in self.disabled | self.deleted, fact
        return message
