"""What a client keeps of groups: who is in them, their titles, and what is said while one is in.

A group that one has left stays as it was: nothing tells what becomes of it, and no query shows it.
Only deletions show.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.resolvers import kept_marks
from tests.resolvers.kept_marks import ME
from tests.resolvers.kept_state import MESSAGE, Act, Action, Ask, Data, State, Table

GROUP = """{ id kind title role showsEarlier readUpTo mutedUntil archived pinned unreadCount
  lastMessage { id content } members(first: 20) { nodes { role user { id } } }
  marks(first: 20) { user { id } readUpTo } }"""
MESSAGES = f"""query($in: ID, $after: String) {{
  messages(conversation: $in, first: 200, after: $after) {{
    nodes {MESSAGE} pageInfo {{ hasNextPage endCursor }} }} }}"""
ROLES = ("MEMBER", "ADMIN", "OWNER")


def _create(table: Table, act: Act) -> tuple[str, Data]:
    create = """mutation($ids: [ID!]!, $e: Boolean) {
      createGroup(title: "Us", memberIds: $ids, showsEarlier: $e) { id } }"""
    return create, {"ids": [table.people[act.target]], "e": bool(act.pick % 2)}


def _in_group(mutation: str) -> Action:
    """A change of a group: `$id` is the group, `$who` the target, `$n` what was drawn."""

    def action(table: Table, act: Act) -> tuple[str, Data] | None:
        if not table.groups:
            return None
        group = table.groups[act.pick % min(len(table.groups), 3)]
        values: Data = {"id": group, "who": table.people[act.target], "n": str(act.pick)}
        values |= {"role": ROLES[act.pick % 3], "flag": bool(act.pick % 2)}
        return mutation, {name: values[name] for name in values if f"${name}" in mutation}

    return action


ACTIONS: dict[str, Action] = kept_marks.ACTIONS | {
    "create": _create,
    "say in a group": _in_group(
        "mutation($id: ID, $n: String) { sendMessage(conversationId: $id, content: $n) { id } }"
    ),
    "add": _in_group(
        "mutation($id: ID!, $who: ID!) { addMembers(conversationId: $id, userIds: [$who]) { id } }"
    ),
    "remove": _in_group(
        "mutation($id: ID!, $who: ID!) { removeMember(conversationId: $id, userId: $who) { id } }"
    ),
    "leave": _in_group("mutation($id: ID!) { leaveGroup(conversationId: $id) { id } }"),
    "retitle": _in_group(
        "mutation($id: ID!, $n: String) { updateGroup(conversationId: $id, title: $n) { id } }"
    ),
    "show earlier": _in_group(
        "mutation($id: ID!, $flag: Boolean) {"
        " updateGroup(conversationId: $id, showsEarlier: $flag) { id } }"
    ),
    "give a role": _in_group(
        "mutation($id: ID!, $who: ID!, $role: MemberRole!) {"
        " setRole(conversationId: $id, userId: $who, role: $role) { id } }"
    ),
    "mark a group read": _in_group(
        'mutation($id: ID) { markRead(conversationId: $id, upTo: "99999999") { id } }'
    ),
    "pin a group": _in_group(
        "mutation($id: ID, $flag: Boolean) {"
        " updateConversation(conversationId: $id, pinned: $flag) { id } }"
    ),
}


async def _query_groups(ask: Ask, people: list[str]) -> State:
    query = f"query($a: Boolean) {{ conversations(first: 60, archived: $a) {{ nodes {GROUP} }} }}"
    pages = [(await ask(query, a=archived))["conversations"] for archived in (False, True)]
    groups = [n for page in pages for n in page["nodes"] if n["kind"] == "GROUP"]
    return {("group", node["id"]): node for node in groups}


async def query_messages(ask: Ask, state: State, conversation: str) -> None:
    """Read anew what one sees of a conversation."""
    for key in [*state]:
        if key[0] == "message" and state[key]["conversationId"] == conversation:
            del state[key]
    after = None
    while True:
        page = (await ask(MESSAGES, **{"in": conversation, "after": after}))["messages"]
        state |= {("message", node["id"]): node for node in page["nodes"]}
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


SNAPSHOT = (*kept_marks.SNAPSHOT, _query_groups)
_GROUP = f"group: conversation {GROUP}"
FIELDS = {kind: f"{fields} {_GROUP}" for kind, fields in kept_marks.FIELDS.items()} | {
    "UserChanged": kept_marks.FIELDS["UserChanged"],
    "MembersChanged": f"joinedIds {_GROUP}",
    "ConversationChanged": _GROUP,
}


def _is_of_group(event: Data) -> bool:
    return event.get("group") is not None and event["group"]["kind"] == "GROUP"


def _put_group(state: State, event: Data) -> None:
    node = event["group"]
    state["group", node["id"]] = node
    if (message := event.get("message")) is not None:
        state["message", message["id"]] = message


def _or_group(apply: Callable[[State, Data], Any]) -> Callable[[State, Data], None]:
    """Put the group where the event is about one; else do the other."""

    def put(state: State, event: Data) -> None:
        if _is_of_group(event):
            _put_group(state, event)
        else:
            apply(state, event)

    return put


async def _members_changed(state: State, event: Data, ask: Ask) -> None:
    """Who joins, perhaps again, reads what they see of the group."""
    _put_group(state, event)
    if state[ME]["id"] in event["joinedIds"]:
        await query_messages(ask, state, event["group"]["id"])


async def _settings_changed(state: State, event: Data, ask: Ask) -> None:
    if _is_of_group(event):
        _put_group(state, event)
        return
    before = state["settings", "mine"]["readReceipts"]
    await kept_marks.ASKING["SettingsChanged"](state, event, ask)
    if event["settings"]["readReceipts"] is not before:
        state |= await _query_groups(ask, [])


APPLY: dict[str, Callable[[State, Data], Any]] = {
    kind: _or_group(kept_marks.APPLY.get(kind, _put_group)) for kind in FIELDS
}
ASKING: dict[str, Callable[[State, Data, Ask], Awaitable[None]]] = {
    **kept_marks.ASKING,
    "SettingsChanged": _settings_changed,
    "MembersChanged": _members_changed,
}


def without_deletions(kept: State, fresh: State) -> None:
    """Leave out of both what was deleted, after one had left, of groups that one has left."""
    for key, node in [*fresh.items()]:
        if key[0] == "group" and node["role"] is None:
            gone = [
                at
                for at, message in fresh.items()
                if at[0] == "message"
                and message["conversationId"] == key[1]
                and message["deletedAt"] is not None
            ]
            for state in (kept, fresh):
                for at in gone:
                    del state[at]
                if gone:
                    state[key] = {**state[key], "lastMessage": None, "unreadCount": 0}
