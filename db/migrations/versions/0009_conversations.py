"""Each message belongs to a conversation.

Revision ID: 0009
Revises: 0008
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic

import sqlalchemy as sa
from alembic import op

from db.models import COUNTED_OPTIONS, TABLE_OPTIONS, BigId, UTCDateTime
from db.resumable import THE_WAY_BACK

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

logger = logging.getLogger("parley.db")

EVERYBODY = 1
# Messages of one statement: a few hundred milliseconds of work, which a stop or a kill can lose.
STEP = 20_000
SAY_SECONDS = 5.0

# The conversations of these messages that are not there yet. Each begins with its first message,
# which stands in the first step that names it.
_BEGIN = (
    "INSERT INTO conversations (kind, lower_user_id, higher_user_id, shows_earlier, created_at)"
    " SELECT 'DIRECT', m.lower_user_id, m.higher_user_id, 1, MIN(m.created_at) FROM messages m"
    " LEFT JOIN conversations c"
    " ON c.lower_user_id = m.lower_user_id AND c.higher_user_id = m.higher_user_id"
    " WHERE m.id > {after:d} AND m.id <= {upto:d} AND m.lower_user_id IS NOT NULL"
    " AND c.id IS NULL GROUP BY m.lower_user_id, m.higher_user_id"
)
_BELONG = (
    "UPDATE messages SET conversation_id = COALESCE((SELECT c.id FROM conversations c"
    " WHERE c.lower_user_id = messages.lower_user_id"
    " AND c.higher_user_id = messages.higher_user_id), 1)"  # or everybody's
    " WHERE id > {after:d} AND id <= {upto:d} AND conversation_id = 0"
)
# Both people, who have read what there is: nobody is greeted by years of unread messages.
_JOIN = (
    "INSERT INTO members (conversation_id, user_id, role, joined_position, activity,"
    " read_position, archived, pinned)"
    " SELECT c.id, u.id, 'MEMBER', 0, COALESCE((SELECT MAX(m.id) FROM messages m"
    " WHERE m.conversation_id = c.id), 0), (SELECT MAX(position) FROM log_head), 0, 0"
    " FROM conversations c JOIN users u ON u.id IN (c.lower_user_id, c.higher_user_id)"
    " WHERE c.id > {after:d} AND c.id <= {upto:d} AND NOT EXISTS (SELECT 1 FROM members k"
    " WHERE k.conversation_id = c.id AND k.user_id = u.id)"
)
# The same for what was sent to everybody.
_JOIN_EVERYBODY = (
    "INSERT INTO members (conversation_id, user_id, role, joined_position, activity,"
    " read_position, archived, pinned)"
    " SELECT 1, u.id, 'MEMBER', u.joined_position, 0, (SELECT MAX(position) FROM log_head), 0, 0"
    " FROM users u WHERE u.id > {after:d} AND u.id <= {upto:d} AND u.deleted_at IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM members k WHERE k.conversation_id = 1 AND k.user_id = u.id)"
)
_DELIVERED = (
    "UPDATE users SET delivered_position = (SELECT MAX(position) FROM log_head)"
    " WHERE id > {after:d} AND id <= {upto:d} AND delivered_position = 0"
)


def upgrade() -> None:
    conversations = _create_tables()
    op.bulk_insert(
        conversations,
        [
            {
                "id": EVERYBODY,
                "kind": "EVERYBODY",
                "shows_earlier": True,
                "created_at": datetime.now(UTC),
            }
        ],
    )
    op.add_column(
        "messages", sa.Column("conversation_id", BigId, nullable=False, server_default=sa.text("0"))
    )
    if "higher_user_id" in _columns("messages"):  # the first that goes
        for after, upto in _steps("messages", "Putting messages into conversations"):
            op.execute(_BEGIN.format(after=after, upto=upto))
            op.execute(_BELONG.format(after=after, upto=upto))
    op.add_column(
        "users",
        sa.Column("delivered_position", BigId, nullable=False, server_default=sa.text("0")),
    )
    op.add_column(
        "users",
        sa.Column("read_receipts", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    op.create_index("ix_messages_conversation", "messages", ["conversation_id", "id"])
    for after, upto in _steps("conversations", "Putting people into conversations"):
        op.execute(_JOIN.format(after=after, upto=upto))
    for after, upto in _steps("users", "Putting people into the conversation of everybody"):
        op.execute(_JOIN_EVERYBODY.format(after=after, upto=upto))
        op.execute(_DELIVERED.format(after=after, upto=upto))
    op.drop_index("ix_messages_pair", "messages")
    op.drop_column("messages", "higher_user_id")
    op.drop_column("messages", "lower_user_id")


def _create_tables() -> sa.Table:
    conversations = op.create_table(
        "conversations",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("kind", sa.String(9), nullable=False),
        sa.Column("lower_user_id", BigId, nullable=True),
        sa.Column("higher_user_id", BigId, nullable=True),
        sa.Column("title", sa.String(100), nullable=True),
        sa.Column("shows_earlier", sa.Boolean(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.UniqueConstraint("lower_user_id", "higher_user_id", name="uq_conversations_pair"),
        **COUNTED_OPTIONS,
    )
    op.create_table(
        "members",
        sa.Column("conversation_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("user_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("role", sa.String(6), nullable=False),
        sa.Column("joined_position", BigId, nullable=False),
        sa.Column("left_position", BigId, nullable=True),
        sa.Column("activity", BigId, nullable=False),
        sa.Column("read_position", BigId, nullable=False),
        sa.Column("muted_until", UTCDateTime(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_members_conversation"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_members_user"),
        sa.Index("ix_members_activity", "user_id", "archived", "pinned", "activity"),
        **TABLE_OPTIONS,
    )
    return conversations


def _steps(table: str, doing: str) -> Iterator[tuple[int, int]]:
    """Yield ranges of ids, after and up to; on MySQL what was done in each is committed after it.

    Says every few seconds how far it is. SQLite's upgrade is one transaction.
    """
    connection = op.get_bind()
    last = connection.execute(sa.text(f"SELECT MAX(id) FROM {table}")).scalar() or 0  # noqa: S608  # nosec B608
    began = said = monotonic()
    for after in range(0, last, STEP):
        upto = min(after + STEP, last)
        yield after, upto
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql("COMMIT")
        now = monotonic()
        if now - said > SAY_SECONDS or (upto == last and now - began > SAY_SECONDS):
            said = now
            bar = f"{'#' * (20 * upto // last):.<20}"
            logger.warning("%s: [%s] %d %%, %d of %d", doing, bar, 100 * upto // last, upto, last)


def _columns(table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}


def downgrade() -> None:
    raise NotImplementedError(f"which messages were whose is in conversations only. {THE_WAY_BACK}")
