"""The arguments that name groups, and people in them: for the table of another's things."""

AS_MISSING = "another's group is as missing: tests/schema/test_groups.py"
EVERYONE = "everyone may be added by everyone; across a block as missing"

GROUPS: dict[str, tuple[str, str] | str] = {
    "sendMessage(conversationId)": (
        'mutation($id: ID!) { sendMessage(conversationId: $id, content: "x") { id } }',
        "conversation",
    ),
    "createGroup(memberIds)": EVERYONE,
    "createGroup(avatarId)": (
        'mutation($id: ID!) { createGroup(title: "x", memberIds: [], avatarId: $id) { id } }',
        "attachment unsent",
    ),
    "updateGroup(avatarId)": AS_MISSING,
    "addMembers(userIds)": EVERYONE,
    "removeMember(userId)": AS_MISSING,
    "setRole(userId)": AS_MISSING,
    **{
        f"{field}(conversationId)": AS_MISSING
        for field in ("updateGroup", "addMembers", "removeMember", "leaveGroup", "setRole")
    },
}
