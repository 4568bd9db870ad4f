"""What those who have left a group are shown: the group as it was when they left.

Who left before this is shown the group as it is now, at the migration.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

from db.models import TABLE_OPTIONS, BigId, UTCDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_GROUPS = "(SELECT id FROM conversations WHERE kind = 'GROUP')"
_OF_GROUP = "(SELECT {} FROM conversations c WHERE c.id = members.conversation_id)"


def upgrade() -> None:
    op.add_column("members", sa.Column("left_title", sa.String(100), nullable=True))
    op.add_column("members", sa.Column("left_avatar_id", BigId, nullable=True))
    op.add_column("members", sa.Column("left_shows_earlier", sa.Boolean(), nullable=True))
    op.add_column(
        "conversations",
        sa.Column("last_left_position", BigId, nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "left_messages",
        sa.Column("message_id", BigId, nullable=False, autoincrement=False),
        sa.Column("left_position", BigId, nullable=False, autoincrement=False),
        sa.Column("conversation_id", BigId, nullable=False, server_default=sa.text("0")),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("metadata_json", sa.Text(), nullable=True),
        sa.Column("edited_at", UTCDateTime(), nullable=True),
        sa.Column("reactions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", "left_position"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_left_messages_message"),
        **TABLE_OPTIONS,
    )
    op.execute(
        f"UPDATE members SET left_title = {_OF_GROUP.format('c.title')},"  # noqa: S608  # nosec B608  # fixed texts
        f" left_avatar_id = {_OF_GROUP.format('c.avatar_id')},"
        f" left_shows_earlier = {_OF_GROUP.format('c.shows_earlier')}"
        f" WHERE left_position IS NOT NULL AND conversation_id IN {_GROUPS}"
    )
    op.execute(
        "UPDATE conversations SET last_left_position = COALESCE((SELECT MAX(m.left_position)"
        " FROM members m WHERE m.conversation_id = conversations.id), 0) WHERE kind = 'GROUP'"
    )


def downgrade() -> None:
    op.drop_table("left_messages")
    op.drop_column("conversations", "last_left_position")
    for name in ("left_shows_earlier", "left_avatar_id", "left_title"):
        op.drop_column("members", name)
