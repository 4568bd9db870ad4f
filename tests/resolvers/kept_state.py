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

MESSAGE = """{ id senderId receiverId kind content clientMessageId
  createdAt editedAt deletedAt replyToId }"""
USER = "{ id displayName statusText }"


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


class Table(NamedTuple):
    """What actions choose from: people, and the messages that were sent, with their senders."""

    people: list[str]
    sent: list[tuple[str, int]]  # the message's id, and the number of its sender

    def own(self, act: Act) -> str | None:
        """Return a message of the actor's."""
        own = [id_ for id_, sender in self.sent if sender == act.actor]
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
    if not table.sent:
        return None
    replied, _ = table.sent[act.pick % len(table.sent)]
    return SEND, {"to": table.people[act.target], "c": "a reply", "re": replied}


def _edit(table: Table, act: Act) -> tuple[str, Data] | None:
    if (own := table.own(act)) is None:
        return None
    edit = "mutation($id: ID!, $c: String!) { editMessage(id: $id, content: $c) { id } }"
    return edit, {"id": own, "c": f"edited {act.pick}"}


def _delete(table: Table, act: Act) -> tuple[str, Data] | None:
    if (own := table.own(act)) is None:
        return None
    return "mutation($id: ID!) { deleteMessage(id: $id) { id } }", {"id": own}


def _rename(table: Table, act: Act) -> tuple[str, Data]:
    rename = """mutation($n: String, $s: String) {
      updateProfile(displayName: $n, statusText: $s) { id } }"""
    return rename, {"n": f"Name {act.pick}", "s": f"status {act.target}"}


ACTIONS: dict[str, Action] = {
    "send": _send,
    "say to all": _say_to_all,
    "reply": _reply,
    "edit": _edit,
    "delete": _delete,
    "rename": _rename,
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


async def _query_people(ask: Ask, people: list[str]) -> State:
    query = f"query($id: ID!) {{ user(id: $id) {USER} }}"
    return {("user", id_): (await ask(query, id=id_))["user"] for id_ in people}


# What a client's first screen asks for.
SNAPSHOT: tuple[Callable[[Ask, list[str]], Awaitable[State]], ...] = (
    _query_messages,
    _query_people,
)
# What is asked of each type of event, beside `cursor` and `conversationId`.
FIELDS = {
    "MessageSent": f"message {MESSAGE}",
    "MessageEdited": f"message {MESSAGE}",
    "MessageDeleted": f"message {MESSAGE}",
    "ReactionChanged": f"message {MESSAGE}",
    "UserChanged": f"user {USER}",
}


def _put_message(state: State, event: Data) -> None:
    state["message", event["message"]["id"]] = event["message"]


def _put_user(state: State, event: Data) -> None:
    # Others than these people have nothing to do with this client.
    if ("user", event["user"]["id"]) in state:
        state["user", event["user"]["id"]] = event["user"]


APPLY: dict[str, Callable[[State, Data], None]] = {
    "MessageSent": _put_message,
    "MessageEdited": _put_message,
    "MessageDeleted": _put_message,
    "ReactionChanged": _put_message,
    "UserChanged": _put_user,
}
