"""What a client keeps, by kinds: how users change it, how it is queried, what events do to it.

To add a kind: put its mutations into ACTIONS, what a fresh query gives into SNAPSHOT, and the types
of its events into FIELDS and APPLY. `test_state_and_facts.py` plays all of them against each other.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Data = dict[str, Any]
# Runs a document as the viewer; returns its data.
Ask = Callable[..., Awaitable[Data]]
# By kind and id.
State = dict[tuple[str, str], Data]

MESSAGE = """{ id conversationId senderId receiverId kind content clientMessageId
  createdAt editedAt deletedAt replyToId reactions { emoji count mine users { id } } }"""
# What changes by a message as well is put by whoever hears of the message: `lastMessage`.
CONVERSATION = """{ id kind title readUpTo mutedUntil archived pinned unreadCount
  lastMessage { id content } }"""
USER = "{ id displayName statusText avatarUrl }"
SETTINGS = "{ presence readReceipts }"


class Person(NamedTuple):
    """Somebody who acts: their id, and how they ask one of the servers."""

    id: str
    ask: Ask


class Act(NamedTuple):
    """One action, as it is drawn: who does what, on which server, to whom or to which message."""

    name: str
    actor: int
    server: int
    target: int
    pick: int


class Sent(NamedTuple):
    """A message: its id, the number of its sender, and whether it was to everybody."""

    id: str
    sender: int
    to_all: bool


class Table(NamedTuple):
    """What actions choose from: people, the messages that were sent, and groups."""

    people: list[str]
    sent: list[Sent]
    groups: list[str]

    def own(self, act: Act) -> str | None:
        """Return a message of the actor's."""
        own = [message.id for message in self.sent if message.sender == act.actor]
        return own[act.pick % len(own)] if own else None


# Return a mutation and its variables; None where there is nothing to do it to. What is refused is
# no fault: it changes nothing.
Action = Callable[[Table, Act], tuple[str, Data] | None]

SEND = """mutation($to: ID, $c: String, $re: ID) {
  sendMessage(receiverId: $to, content: $c, replyToId: $re) { id } }"""


def _send(table: Table, act: Act) -> tuple[str, Data]:
    return SEND, {"to": table.people[act.target], "c": f"direct {act.pick}"}


def _say_to_all(table: Table, act: Act) -> tuple[str, Data]:
    return SEND, {"c": f"to all {act.pick}"}


def _reply(table: Table, act: Act) -> tuple[str, Data] | None:
    told = [message.id for message in table.sent if message.to_all]
    return (SEND, {"c": "a reply", "re": told[act.pick % len(told)]}) if told else None


def _edit(table: Table, act: Act) -> tuple[str, Data] | None:
    if (own := table.own(act)) is None:
        return None
    edit = "mutation($id: ID!, $c: String!) { editMessage(id: $id, content: $c) { id } }"
    return edit, {"id": own, "c": f"edited {act.pick}"}


def _delete(table: Table, act: Act) -> tuple[str, Data] | None:
    if (own := table.own(act)) is None:
        return None
    return "mutation($id: ID!) { deleteMessage(id: $id) { id } }", {"id": own}


def _react(table: Table, act: Act) -> tuple[str, Data] | None:
    if len(table.sent) < 3:
        return None
    verb = "addReaction" if act.pick < 6 else "removeReaction"
    react = f"mutation($id: ID!, $e: String!) {{ {verb}(messageId: $id, emoji: $e) {{ id }} }}"
    message = table.sent[-(1 + act.pick % 3)]
    return react, {"id": message.id, "e": "👍🎉"[act.pick % 2]}


def _mark_read(table: Table, act: Act) -> tuple[str, Data] | None:
    if not table.sent:
        return None
    mark = "mutation($to: ID, $up: ID!) { markRead(with: $to, upTo: $up) { id } }"
    return mark, {"to": table.people[act.target], "up": table.sent[act.pick % len(table.sent)].id}


def _set_apart(table: Table, act: Act) -> tuple[str, Data]:
    update = """mutation($to: ID, $p: Boolean, $a: Boolean) {
      updateConversation(with: $to, pinned: $p, archived: $a) { id } }"""
    return update, {
        "to": table.people[act.target],
        "p": bool(act.pick % 2),
        "a": bool(act.pick % 3),
    }


def _rename(table: Table, act: Act) -> tuple[str, Data]:
    rename = """mutation($n: String, $s: String) {
      updateProfile(displayName: $n, statusText: $s) { id } }"""
    return rename, {"n": f"Name {act.pick}", "s": f"status {act.target}"}


def _hide(table: Table, act: Act) -> tuple[str, Data]:
    hide = f"mutation($p: PresenceSetting) {{ updateSettings(presence: $p) {SETTINGS} }}"
    return hide, {"p": ("VISIBLE", "INVISIBLE")[act.pick % 2]}


ACTIONS: dict[str, Action] = {
    "send": _send,
    "say to all": _say_to_all,
    "reply": _reply,
    "edit": _edit,
    "delete": _delete,
    "react": _react,
    "mark read": _mark_read,
    "pin or archive": _set_apart,
    "rename": _rename,
    "hide": _hide,
}


async def _query_messages(ask: Ask, people: list[str]) -> State:
    query = f"""query($after: String) {{ messages(first: 200, after: $after) {{
      nodes {MESSAGE} pageInfo {{ hasNextPage endCursor }} }} }}"""
    found: State = {}
    after = None
    while True:
        page = (await ask(query, after=after))["messages"]
        found |= {("message", node["id"]): node for node in page["nodes"]}
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def _query_conversations(ask: Ask, people: list[str]) -> State:
    query = f"""query($a: Boolean) {{
      conversations(first: 200, archived: $a) {{ nodes {CONVERSATION} }} }}"""
    pages = [(await ask(query, a=archived))["conversations"] for archived in (False, True)]
    listed = [node for page in pages for node in page["nodes"]]
    # Groups: kept_groups.py.
    return {("conversation", node["id"]): node for node in listed if node["kind"] != "GROUP"}


async def _query_people(ask: Ask, people: list[str]) -> State:
    query = f"query($id: ID!) {{ user(id: $id) {USER} }}"
    return {("user", id_): (await ask(query, id=id_))["user"] for id_ in people}


async def _query_settings(ask: Ask, people: list[str]) -> State:
    return {("settings", "mine"): (await ask(f"{{ settings {SETTINGS} }}"))["settings"]}


# What a client's first screen asks for.
SNAPSHOT: tuple[Callable[[Ask, list[str]], Awaitable[State]], ...] = (
    _query_messages,
    _query_conversations,
    _query_people,
    _query_settings,
)
# What is asked of each type of event, beside `cursor` and `conversationId`.
_OF_MESSAGE = f"message {MESSAGE} conversation {CONVERSATION}"
FIELDS = {
    "MessageSent": _OF_MESSAGE,
    "MessageEdited": _OF_MESSAGE,
    "MessageDeleted": _OF_MESSAGE,
    "ReactionChanged": f"message {MESSAGE}",
    "MarksMoved": f"userId readUpTo conversation {CONVERSATION}",
    "SettingsChanged": f"conversation {CONVERSATION} settings {SETTINGS}",
    "UserChanged": f"user {USER}",
}


def _put_message(state: State, event: Data) -> None:
    state["message", event["message"]["id"]] = event["message"]


def _put_conversation(state: State, event: Data) -> None:
    if (conversation := event["conversation"]) is not None:
        state["conversation", conversation["id"]] = conversation


def _put_both(state: State, event: Data) -> None:
    _put_message(state, event)
    _put_conversation(state, event)


def _put_user(state: State, event: Data) -> None:
    # Others than these people have nothing to do with this client.
    if ("user", event["user"]["id"]) in state:
        state["user", event["user"]["id"]] = event["user"]


def _put_settings(state: State, event: Data) -> None:
    state["settings", "mine"] = event["settings"]
    _put_conversation(state, event)


APPLY: dict[str, Callable[[State, Data], None]] = {
    "MessageSent": _put_both,
    "MessageEdited": _put_both,
    "MessageDeleted": _put_both,
    "ReactionChanged": _put_message,
    "MarksMoved": _put_conversation,
    "SettingsChanged": _put_settings,
    "UserChanged": _put_user,
}
