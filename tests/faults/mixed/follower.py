"""Somebody who follows `events`, is cut off, comes back, and keeps what it shows."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.faults.mixed.calls import Caller, query
from tests.faults.wire import Cut, Refused

Data = dict[str, Any]

RETRY_SECONDS = 0.05
PAGE = 100

MESSAGE = """{ id conversationId senderId receiverId content clientMessageId editedAt deletedAt
  replyToId reactions { emoji count mine } }"""
CONVERSATION = """{ id kind title role showsEarlier readUpTo mutedUntil archived pinned
  peer { id } members(first: 10) { nodes { user { id } role } }
  marks(first: 10) { user { id } readUpTo } }"""
USER = "{ id displayName statusText }"
EVENTS = f"""subscription($after: String) {{ events(after: $after) {{ __typename cursor
  ... on MessageSent {{ message {MESSAGE} }}
  ... on MessageEdited {{ message {MESSAGE} }}
  ... on MessageDeleted {{ message {MESSAGE} }}
  ... on ReactionChanged {{ userId emoji added message {MESSAGE} }}
  ... on MarksMoved {{ userId readUpTo deliveredUpTo conversationId }}
  ... on SettingsChanged {{ conversation {CONVERSATION} }}
  ... on ConversationChanged {{ conversation {CONVERSATION} }}
  ... on MembersChanged {{ joinedIds conversation {CONVERSATION} }}
  ... on UserChanged {{ user {USER} }} }} }}"""
MESSAGES = f"""query($in: ID, $after: String, $first: Int) {{
  messages(conversation: $in, first: $first, after: $after) {{
    nodes {MESSAGE} pageInfo {{ hasNextPage endCursor }} }} }}"""
CONVERSATIONS = f"""query($a: Boolean) {{ conversations(first: 60, archived: $a) {{
  nodes {CONVERSATION} }} }}"""
UNREAD = """query($a: Boolean) { conversations(first: 60, archived: $a) {
  nodes { id unreadCount } } }"""
UNREAD_COUNTED = 100


class Follower:
    """One device of one person: what it heard, in order, and what it keeps."""

    def __init__(
        self,
        person: int,
        token: str,
        people: list[int],
        port: Callable[[], int],
        live: set[Any],
    ) -> None:
        self.person = person
        self.heard: list[tuple[int, str, str | None]] = []  # position, type, message or user
        self.contradictions: list[str] = []
        self.moved = asyncio.Event()
        self.cuts = 0
        self.taken = 0  # up to here it is kept
        self.messages: dict[str, Data] = {}
        self.conversations: dict[str, Data] = {}
        self.users: dict[str, Data] = {}
        self._token = token
        self._people = people
        self._port = port
        self._live = live
        self._cursor = ""
        self._last = 0
        self._waiting: asyncio.Queue[Data] = asyncio.Queue()

    async def begin(self) -> None:
        """Ask for the first screen, before anything happens."""
        start = await self.ask("{ serverInfo { cursor } }")
        self._cursor = start["serverInfo"]["cursor"]
        self.messages, self.conversations, self.users = await self.fresh()

    async def fresh(self) -> tuple[dict[str, Data], dict[str, Data], dict[str, Data]]:
        """Return what queries give now: messages, conversations and users."""
        messages = {message["id"]: message for message in await self._read(None)}
        conversations: dict[str, Data] = {}
        for archived in (False, True):
            page = (await self.ask(CONVERSATIONS, a=archived))["conversations"]["nodes"]
            conversations |= {node["id"]: _plain(node) for node in page}
        names = " ".join(f"u{id_}: user(id: {id_}) {USER}" for id_ in self._people)
        users = await self.ask(f"{{ {names} }}")
        return messages, conversations, {user["id"]: user for user in users.values()}

    async def unread(self) -> dict[str, int]:
        """Return how many messages of each conversation are unread, as queries count them."""
        pages = [
            (await self.ask(UNREAD, a=archived))["conversations"]["nodes"]
            for archived in (False, True)
        ]
        return {node["id"]: node["unreadCount"] for page in pages for node in page}

    def counted_unread(self, conversation: str) -> int:
        """Return the same, counted by what is kept here."""
        read = int(self.conversations[conversation]["readUpTo"] or 0)
        unread = [
            message
            for message in self.messages.values()
            if message["conversationId"] == conversation
            and message["senderId"] != str(self.person)
            and message["deletedAt"] is None
            and int(message["id"]) > read
        ]
        return min(len(unread), UNREAD_COUNTED)

    async def ask(self, document: str, **variables: Any) -> Any:
        """Query over HTTP until it is answered."""
        while True:
            try:
                return await query(self._port(), self._token, document, **variables)
            except Cut:
                pass
            except Refused as error:
                if error.code != "INTERNAL":
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, conversation: str | None) -> list[Data]:
        found: list[Data] = []
        after = None
        while True:
            page = await self.ask(MESSAGES, **{"in": conversation, "after": after, "first": PAGE})
            found += page["messages"]["nodes"]
            if not page["messages"]["pageInfo"]["hasNextPage"]:
                return found
            after = page["messages"]["pageInfo"]["endCursor"]

    # Following.

    async def listen(self) -> None:
        """Follow, on whichever process answers; for ever."""
        while True:
            try:
                client = await Caller.open(self._port(), self._token)
            except Cut:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            assert isinstance(client, Caller)
            self._live.add(client)
            try:
                await client.watch_events(EVENTS, self._hear, self._cursor)
                await client.over.wait()
            except Cut:
                pass
            finally:
                self._live.discard(client)
                await client.close()
            self.cuts += 1
            await asyncio.sleep(RETRY_SECONDS)

    def _hear(self, data: Data) -> None:
        event = data["events"]
        self._cursor = event["cursor"]
        position = int(self._cursor.rpartition("-")[2])
        if position <= self._last:
            self.contradictions.append(f"{self.person} heard {event} after {self._last}")
        self._last = position
        about = event.get("message", event.get("user", {"id": event.get("userId")}))["id"]
        self.heard.append((position, event["__typename"], about))
        self._waiting.put_nowait(event)

    # Keeping.

    async def keep(self) -> None:
        """Take what is heard, one event after the other; for ever."""
        while True:
            event = await self._waiting.get()
            await self._take(event)
            self.taken = int(event["cursor"].rpartition("-")[2])
            self.moved.set()

    async def _take(self, event: Data) -> None:
        match event["__typename"]:
            case "MessageSent" | "MessageEdited" | "MessageDeleted" | "ReactionChanged":
                self._put_message(event["message"])
            case "MarksMoved" if event["readUpTo"] is not None:
                self._move(event["conversationId"], event["userId"], event["readUpTo"])
            case "UserChanged":
                self.users[event["user"]["id"]] = event["user"]
            case "SettingsChanged" | "ConversationChanged" | "MembersChanged":
                node = _plain(event["conversation"])
                self.conversations[node["id"]] = node
                if str(self.person) in event.get("joinedIds", ()):
                    await self._begin_group(node["id"])

    def _put_message(self, message: Data) -> None:
        self.messages[message["id"]] = message
        id_, me = message["conversationId"], str(self.person)
        if id_ not in self.conversations:  # it begins with its first message
            other = message["receiverId"] if message["senderId"] == me else message["senderId"]
            peer = None if message["receiverId"] is None else other
            self.conversations[id_] = _new_conversation(id_, me, peer)

    def _move(self, conversation: str, user: str, upto: str) -> None:
        kept = self.conversations[conversation]
        if user == str(self.person):
            kept["readUpTo"] = _later(kept["readUpTo"], upto)
        elif user in kept["marks"]:
            kept["marks"][user] = _later(kept["marks"][user], upto)

    async def _begin_group(self, id_: str) -> None:
        # Of an earlier stay only what they wrote themselves is left.
        me = str(self.person)
        self.messages = {
            key: message
            for key, message in self.messages.items()
            if message["conversationId"] != id_ or message["senderId"] == me
        } | {message["id"]: message for message in await self._read(id_)}


def _later(one: str | None, other: str) -> str:
    return other if one is None else str(max(int(one), int(other)))


def _plain(node: Data) -> Data:
    """Return a conversation with its lists by people's ids."""
    members = {each["user"]["id"]: each["role"] for each in node["members"]["nodes"]}
    marks = {each["user"]["id"]: each["readUpTo"] for each in node["marks"]}
    return {**node, "members": members, "marks": marks}


def _new_conversation(id_: str, me: str, peer: str | None) -> Data:
    return {
        "id": id_,
        "kind": "EVERYBODY" if peer is None else "DIRECT",
        "title": None,
        "role": "MEMBER",
        "showsEarlier": False,
        "readUpTo": None,
        "mutedUntil": None,
        "archived": False,
        "pinned": False,
        "peer": peer and {"id": peer},
        "members": {} if peer is None else {me: "MEMBER", peer: "MEMBER"},
        "marks": {} if peer is None else {peer: None},
    }
