"""Each argument of GraphQL that takes an id: for the table of another's things."""

from tests.attacks.documents import mutation

AS_MISSING = "another's group is as missing: tests/schema/test_groups.py"
ADDED = "everyone may be added by everyone; across a block as missing"

GROUPS: dict[str, tuple[str, str] | str] = {
    "sendMessage(conversationId)": (
        'mutation($id: ID!) { sendMessage(conversationId: $id, content: "x") { id } }',
        "conversation",
    ),
    "createGroup(memberIds)": ADDED,
    "createGroup(avatarId)": (
        'mutation($id: ID!) { createGroup(title: "x", memberIds: [], avatarId: $id) { id } }',
        "attachment unsent",
    ),
    "updateGroup(avatarId)": AS_MISSING,
    "addMembers(userIds)": ADDED,
    "removeMember(userId)": AS_MISSING,
    "setRole(userId)": AS_MISSING,
    **{
        f"{field}(conversationId)": AS_MISSING
        for field in ("updateGroup", "addMembers", "removeMember", "leaveGroup", "setRole")
    },
}

REACTION = 'Reaction(messageId: $id, emoji: "👍")'
# As the server comes: `tests/test_directory.py` asks where DIRECTORY hides people.
EVERYONE = "everyone may see every user, write to them, and keep them away"
SEARCHES = "finds nothing of another's: test_searches.py"
# Field and argument: a document with `$id`, and which of the things it names. None: an id there
# opens nothing of anybody's, for the reason given.
GRAPHQL: dict[str, tuple[str, str] | str] = {
    **GROUPS,
    "user(id)": EVERYONE,
    "users(after)": "a place in the list of all users, which everyone may read",
    "message(id)": ("query($id: ID!) { message(id: $id) { id content } }", "message"),
    "attachment(id)": ("query($id: ID!) { attachment(id: $id) { id url } }", "attachment unsent"),
    "node(id)": "test_a_global_id_opens_nothing_of_anothers",
    "nodes(ids)": "test_a_global_id_opens_nothing_of_anothers",
    "messages(with)": "test_a_conversation_shows_only_ones_own_half",
    "messages(after)": "test_a_cursor_of_anothers_message_shows_nothing_of_it",
    "messages(before)": "test_a_cursor_of_anothers_message_shows_nothing_of_it",
    "messages(conversation)": (
        "query($id: ID!) { messages(conversation: $id, last: 1) { nodes { id } } }",
        "conversation",
    ),
    "messages(around)": ("query($id: ID!) { messages(around: $id) { nodes { id } } }", "message"),
    "conversations(after)": "a place in the list of one's own conversations",
    "conversation(id)": (
        "query($id: ID!) { conversation(id: $id) { id unreadCount } }",
        "conversation",
    ),
    "conversation(with)": "names the other person of one's own",
    "updateConversation(conversationId)": (
        "mutation($id: ID!) { updateConversation(conversationId: $id, pinned: true) { id } }",
        "conversation",
    ),
    "updateConversation(with)": "names the other person of one's own",
    "markRead(conversationId)": (
        'mutation($id: ID!) { markRead(conversationId: $id, upTo: "1") { id } }',
        "conversation",
    ),
    "markRead(with)": "names the other person of one's own",
    "markRead(upTo)": "a place in a conversation of one's own",
    "markDelivered(upTo)": "a place in the log: any number is one",
    "sendMessage(receiverId)": EVERYONE,
    "sendMessage(attachmentId)": (
        'mutation($id: ID!) { sendMessage(attachmentId: $id, kind: FILE, receiverId: "2")'
        " { id attachment { url } } }",
        "attachment unsent",
    ),
    "sendMessage(replyToId)": (
        mutation('sendMessage(replyToId: $id, receiverId: "2", content: "x")'),
        "message",
    ),
    "editMessage(id)": (mutation('editMessage(id: $id, content: "x")'), "message"),
    "addReaction(messageId)": (mutation(f"add{REACTION}"), "message"),
    "removeReaction(messageId)": (mutation(f"remove{REACTION}"), "message"),
    "updateProfile(avatarId)": (mutation("updateProfile(avatarId: $id)"), "attachment unsent"),
    "blockUser(id)": EVERYONE,
    "searchMessages(conversation)": SEARCHES,
    "searchMessages(with)": SEARCHES,
    "searchMessages(from)": SEARCHES,
    "searchMessages(after)": SEARCHES,
    "presence(userIds)": EVERYONE,
    "unblockUser(id)": "test_nobody_ends_anothers_block",
    "revokeSession(id)": "test_a_session_of_anothers_is_as_missing",
    "setTyping(conversationId)": "another's is as missing: tests/resolvers/test_typing.py",
    "setTyping(with)": EVERYONE,
    "messageAdded(after)": "test_a_resumed_stream_shows_only_ones_own",
    "deleteMessage(id)": (mutation("deleteMessage(id: $id)"), "message"),
    "events(after)": "test_resumed_events_are_only_ones_own",
}
# A key of one's own choice, not an id of the server's.
OWN_KEYS = {"sendMessage(clientMessageId)"}
