"""What a client keeps that counts for itself: the last message, all marks, and what is unread.

It asks for no `conversation` beside an event: it knows of conversations by their messages.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.resolvers import kept_state
from tests.resolvers.kept_state import Act, Action, Ask, Data, State, Table

EVERYBODY = "1"
ME = ("me", "")


def _mark_read(table: Table, act: Act) -> tuple[str, Data] | None:
    if not table.sent:
        return None
    upto = table.sent[-1 - act.pick % len(table.sent)].id
    where = {"id": EVERYBODY} if act.pick == 0 else {"with": table.people[act.target]}
    read = """mutation($id: ID, $with: ID, $upTo: ID!) {
      markRead(conversationId: $id, with: $with, upTo: $upTo) { id } }"""
    return read, {**where, "upTo": upto}


def _mark_delivered(table: Table, act: Act) -> tuple[str, Data] | None:
    if not table.sent:
        return None
    upto = table.sent[-1 - act.pick % len(table.sent)].id
    return "mutation($upTo: ID!) { markDelivered(upTo: $upTo) }", {"upTo": upto}


def _show_marks(table: Table, act: Act) -> tuple[str, Data]:
    show = "mutation($r: Boolean) { updateSettings(readReceipts: $r) { readReceipts } }"
    return show, {"r": bool(act.pick % 3)}


ACTIONS: dict[str, Action] = kept_state.ACTIONS | {
    "show marks": _show_marks,
    "mark read up to": _mark_read,
    "mark delivered": _mark_delivered,
}


async def query_marks(ask: Ask, people: list[str]) -> State:
    """Return the marks of all conversations but groups."""
    query = """query($a: Boolean) { me { id } page: conversations(first: 100, archived: $a) {
      nodes { id kind lastMessage { id } unreadCount readUpTo deliveredUpTo
        marks { user { id } readUpTo deliveredUpTo } } } }"""
    pages = [await ask(query, a=archived) for archived in (False, True)]
    found: State = {ME: {"id": pages[0]["me"]["id"]}}
    nodes = [node for page in pages for node in page["page"]["nodes"]]
    for node in [node for node in nodes if node["kind"] != "GROUP"]:
        marks = {
            mark["user"]["id"]: {"read": mark["readUpTo"], "delivered": mark["deliveredUpTo"]}
            for mark in node["marks"]
        }
        found["marks", node["id"]] = {
            "last": node["lastMessage"]["id"],
            "unread": node["unreadCount"],
            "read": node["readUpTo"],
            "delivered": node["deliveredUpTo"],
            "marks": marks,
        }
    return found


SNAPSHOT = (*kept_state.SNAPSHOT, query_marks)
FIELDS = kept_state.FIELDS | {
    "MarksMoved": f"conversationId deliveredUpTo {kept_state.FIELDS['MarksMoved']}",
    "ReceiptsChanged": "userId shown conversation { id marks { user { id } readUpTo } }",
}


def _messages_of(state: State, conversation: str) -> list[Data]:
    return [
        value
        for (kind, _), value in state.items()
        if kind == "message" and value["conversationId"] == conversation
    ]


def _count(state: State, conversation: str) -> None:
    """Count what is unread of a conversation, and find its last message."""
    kept = state["marks", conversation]
    messages = _messages_of(state, conversation)
    unread = [
        message
        for message in messages
        if message["senderId"] != state[ME]["id"]
        and message["deletedAt"] is None
        and int(message["id"]) > int(kept["read"] or 0)
    ]
    kept["unread"] = min(len(unread), 100)
    kept["last"] = str(max(int(message["id"]) for message in messages))


def _heard_message(state: State, event: Data) -> None:
    message = event["message"]
    conversation = message["conversationId"]
    if ("marks", conversation) not in state:
        others = {message["senderId"], message["receiverId"]} - {state[ME]["id"], None}
        marks: Data = {other: {"read": None, "delivered": None} for other in others}
        state["marks", conversation] = {
            "read": None,
            "delivered": None,
            "marks": {} if conversation == EVERYBODY else marks,
        }
    _count(state, conversation)


def _forward(marks: Data, name: str, position: int) -> None:
    if position > int(marks[name] or 0):
        marks[name] = str(position)


def _marks_moved(state: State, event: Data) -> None:
    mine = event["userId"] == state[ME]["id"]
    for (kind, id_), kept in state.items():
        if kind != "marks" or event["conversationId"] not in {None, id_}:
            continue
        marks = kept if mine else kept["marks"].get(event["userId"])
        if marks is None:
            continue
        if event["readUpTo"] is not None:
            _forward(marks, "read", int(event["readUpTo"]))
        if event["deliveredUpTo"] is not None:
            upto = int(event["deliveredUpTo"])
            ids = [int(message["id"]) for message in _messages_of(state, id_)]
            _forward(marks, "delivered", max((i for i in ids if i <= upto), default=0))
        _count(state, id_)


def _receipts_changed(state: State, event: Data) -> None:
    if event["conversation"] is not None:
        user, where = event["userId"], event["conversation"]
        marks = state["marks", where["id"]]["marks"].get(user)
        for mark in where["marks"] if marks is not None else ():
            if mark["user"]["id"] == user:
                marks["read"] = mark["readUpTo"] if event["shown"] else None


async def _settings_changed(state: State, event: Data, ask: Ask) -> None:
    """With receipts off no mark of others is kept; when they come back, all are asked for."""
    before = state["settings", "mine"]["readReceipts"]
    kept_state.APPLY["SettingsChanged"](state, event)
    after = event["settings"]["readReceipts"]
    if before is after:
        return
    fresh = await query_marks(ask, []) if after else {}
    for key, kept in state.items():
        if key[0] == "marks":
            for user, mark in kept["marks"].items():
                known = fresh[key]["marks"].get(user) if key in fresh else None
                mark["read"] = None if known is None else known["read"]


def _after(
    first: Callable[[State, Data], None], then: Callable[[State, Data], None]
) -> Callable[[State, Data], None]:
    def both(state: State, event: Data) -> None:
        first(state, event)
        then(state, event)

    return both


_OF_MESSAGES = ("MessageSent", "MessageEdited", "MessageDeleted")
APPLY: dict[str, Callable[[State, Data], Any]] = {
    **kept_state.APPLY,
    **{kind: _after(kept_state.APPLY[kind], _heard_message) for kind in _OF_MESSAGES},
    "MarksMoved": _after(kept_state.APPLY["MarksMoved"], _marks_moved),
    "ReceiptsChanged": _receipts_changed,
}
# The kinds for which a client asks for something more.
ASKING: dict[str, Callable[[State, Data, Ask], Awaitable[None]]] = {
    "SettingsChanged": _settings_changed
}
