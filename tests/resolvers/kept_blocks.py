"""What a client does when its user blocks somebody, or no longer: what docs/protocol.md says.

Whoever is blocked is not told. What their client keeps of the other is left out of the comparison.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from tests.resolvers import kept_groups, kept_marks
from tests.resolvers.kept_groups import query_messages
from tests.resolvers.kept_marks import EVERYBODY, ME
from tests.resolvers.kept_state import CONVERSATION, Act, Action, Ask, Data, State, Table


def _block(verb: str) -> Action:
    def action(table: Table, act: Act) -> tuple[str, Data]:
        return f"mutation($id: ID!) {{ {verb}(id: $id) {{ id }} }}", {
            "id": table.people[act.target]
        }

    return action


ACTIONS: dict[str, Action] = kept_groups.ACTIONS | {
    "block": _block("blockUser"),
    "unblock": _block("unblockUser"),
}
SNAPSHOT = kept_groups.SNAPSHOT
FIELDS = kept_groups.FIELDS | {"BlockChanged": "userId blocked"}
APPLY: dict[str, Callable[[State, Data], Any]] = kept_groups.APPLY


async def _block_changed(state: State, event: Data, ask: Ask) -> None:
    user = event["userId"]
    if event["blocked"]:
        _leave_out(state, {user})
    else:
        await query_messages(ask, state, EVERYBODY)
        fresh = await kept_marks.query_marks(ask, [])
        for key in [key for key in state if key[0] == "marks" and key in fresh]:
            state[key] = fresh[key]
    query = f"{{ conversation(id: {EVERYBODY}) {CONVERSATION} }}"
    everybody = (await ask(query))["conversation"]
    _put_everybody(state, everybody)


def _put_everybody(state: State, everybody: Data) -> None:
    if everybody["lastMessage"] is None:  # it is not listed
        state.pop(("conversation", EVERYBODY), None)
        state.pop(("marks", EVERYBODY), None)
        return
    state["conversation", EVERYBODY] = everybody
    marks: Data = {"read": everybody["readUpTo"], "delivered": None, "marks": {}}
    kept = state.setdefault(("marks", EVERYBODY), marks)
    kept["unread"], kept["last"] = everybody["unreadCount"], everybody["lastMessage"]["id"]


def _leave_out(state: State, users: Collection[str]) -> None:
    """Leave out what a block hides of these users: broadcasts, reactions to others', marks."""
    for key, value in [*state.items()]:
        if key[0] == "message" and value["conversationId"] == EVERYBODY:
            if value["senderId"] in users:
                del state[key]
                continue
            reactions = [
                {**each, "users": [u for u in each["users"] if u["id"] not in users]}
                for each in value["reactions"]
            ]
            state[key] = {**value, "reactions": reactions}
        elif key[0] == "marks":
            for user in users & value["marks"].keys():
                value["marks"][user] = {"read": None, "delivered": None}


ASKING: dict[str, Callable[[State, Data, Ask], Awaitable[None]]] = {
    **kept_groups.ASKING,
    "BlockChanged": _block_changed,
}


def without_untold(kept: State, fresh: State, blockers: Collection[str]) -> None:
    """Leave out of both what this client is not told: who has ever blocked its user."""
    assert kept[ME]["id"] not in blockers
    for state in (kept, fresh):
        _leave_out(state, blockers)
        if blockers:
            state.pop(("conversation", EVERYBODY), None)
            state.pop(("marks", EVERYBODY), None)
