"""Which tables and columns of the older server are understood, and under which names."""

from collections.abc import Collection, Mapping

# The first name that a table has is taken. Case and underscores do not count: `senderId`,
# `sender_id` and `SENDER_ID` are one name.
USERS = {
    "id": ("id", "user_id"),
    "email": ("email", "email_address", "mail"),
    "password": ("password_hash", "password", "hashed_password", "encrypted_password", "pass"),
    "name": ("display_name", "name", "full_name", "username", "user_name", "nickname"),
    "created": ("created_at", "created", "created_on", "date_created", "registered_at"),
    "seen": ("last_seen_at", "last_seen"),
    "disabled": ("disabled", "is_disabled", "disabled_at", "banned", "is_banned", "banned_at",
                 "suspended", "is_suspended", "blocked", "is_blocked"),
    "deleted": ("deleted_at", "is_deleted", "deleted"),
    "active": ("is_active", "active", "enabled", "is_enabled"),
}  # fmt: skip
MESSAGES = {
    "id": ("id", "message_id"),
    "sender": ("sender_id", "from_user_id", "from_id", "author_id", "user_id", "sender", "from"),
    "receiver": ("receiver_id", "recipient_id", "to_user_id", "to_id", "receiver", "recipient",
                 "to"),
    "content": ("content", "message", "text", "body"),
    "created": ("created_at", "created", "created_on", "date_created", "sent_at", "timestamp"),
    "read": ("is_read", "read", "read_at", "is_seen", "seen", "seen_at"),
    "delivered": ("is_delivered", "delivered", "delivered_at"),
    "file": ("file_url", "attachment_url", "media_url", "image_url", "file_path", "attachment"),
    "deleted": ("deleted_at", "is_deleted", "deleted"),
    "group": ("group_id", "room_id", "channel_id", "chat_id", "conversation_id"),
}  # fmt: skip
TABLES = {"users": ("users", "user", "accounts"), "messages": ("messages", "message")}
COLUMNS: Mapping[str, Mapping[str, tuple[str, ...]]] = {"users": USERS, "messages": MESSAGES}
NEEDED = {
    "users": ("id", "email", "password"),
    "messages": ("id", "sender", "receiver", "content", "created"),
}

UNDERSTOOD = """\
What is understood of the older server's database (case and underscores do not count, so that
senderId is sender_id; of several names the first that a table has is taken):

  users (or user, accounts)
    id           {users[id]}: a whole number, the primary key
    e-mail       {users[email]}
    password     {users[password]}: bcrypt, $2a$, $2b$ or $2y$
    name         {users[name]}; without one, the e-mail's part before the @
    made         {users[created]}; without one, the time of the import
    last seen    {users[seen]}
    kept out     {users[disabled]}, {users[deleted]} (set), or
                 {users[active]} (not set): the account is disabled
  messages (or message)
    id           {messages[id]}: a whole number, the primary key; its order is that of history
    sender       {messages[sender]}
    receiver     {messages[receiver]}; NULL is a message to everybody
    text         {messages[content]}
    sent         {messages[created]}
    read         {messages[read]}: a flag or a time
    delivered    {messages[delivered]}: a flag or a time
    file         {messages[file]}: its address is put below the text
    left out     rows with {messages[deleted]} set, and rows without a receiver but with
                 {messages[group]}

  Times are DATETIME, TIMESTAMP, ISO 8601 text, or numbers since 1970 in seconds, milliseconds or
  microseconds, whichever their size tells. A time without a zone is UTC; --time-zone says another.

What becomes of it: ids, password hashes and times stay. Two people's messages become their
conversation, messages without a receiver the conversation of everybody. Without a column that says
otherwise, everything is delivered and read. An account whose e-mail or password cannot be used (a
second one with the same e-mail in other capitals, a hash that is not bcrypt's) is kept, with all
that it wrote, but cannot log in. Files are not copied. Administrators are made anew, by
`main.py users admin EMAIL`. All else is left out, and the report at the end says what and why.
"""


class TableUnusable(Exception):
    """A table or a column that the import needs is not there; the text names what was found."""


def understood() -> str:
    """Return the page of `--help` on tables and columns."""
    told = {
        table: {role: " | ".join(names) for role, names in roles.items()}
        for table, roles in COLUMNS.items()
    }
    return UNDERSTOOD.format(**told)


def find_table(table: str, tables: Collection[str], views: Collection[str]) -> str:
    """Return the name of the older server's table of users, or of messages.

    Raises TableUnusable.
    """
    plain = {_plain(name): name for name in sorted(tables)}
    for name in TABLES[table]:
        if _plain(name) in plain:
            return plain[_plain(name)]
    for view in views:
        if _plain(view) in map(_plain, TABLES[table]):
            raise TableUnusable(
                f"{view} is a view. Name the database that has the table itself: a view has no"
                " primary key to go on from"
            )
    found = ", ".join(sorted(tables)) or "no table at all"
    raise TableUnusable(f"There is no table {' or '.join(TABLES[table])}; found: {found}")


def find_columns(table: str, name: str, columns: Collection[str]) -> dict[str, str]:
    """Return the column for each role that the table has one for. Raises TableUnusable."""
    plain = {_plain(column): column for column in columns}
    found = {
        role: next(plain[_plain(known)] for known in names if _plain(known) in plain)
        for role, names in COLUMNS[table].items()
        if any(_plain(known) in plain for known in names)
    }
    missing = [role for role in NEEDED[table] if role not in found]
    if missing:
        wanted = "; ".join(" or ".join(COLUMNS[table][role]) for role in missing)
        raise TableUnusable(
            f"The table {name} lacks a column: {wanted}. It has: {', '.join(columns)}"
        )
    return found


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
