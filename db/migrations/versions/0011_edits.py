"""Messages are edited, deleted, replied to and reacted to.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

from db.models import TABLE_OPTIONS, BigId, Digest, UTCDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # At the table's end, and NULL or one value: no engine writes a row for it.
    for name, type_ in (
        ("edited_at", UTCDateTime()),
        ("deleted_at", UTCDateTime()),
        ("reply_to_id", BigId),
        ("original_hash", Digest),
    ):
        op.add_column("messages", sa.Column(name, type_, nullable=True))
    op.add_column(
        "messages", sa.Column("reacted", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "message_edits",
        sa.Column("message_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("edited_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_message_edits_message"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "reactions",
        sa.Column("message_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("user_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("emoji", sa.String(32), primary_key=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_reactions_message"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_reactions_user"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_reactions_emoji", "reactions", ["message_id", "emoji", "created_at"])
    op.create_index("ix_reactions_user", "reactions", ["user_id"])
    op.create_table(
        "reaction_counts",
        sa.Column("message_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("emoji", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("first_users", sa.String(500), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_reaction_counts_message"),
        **TABLE_OPTIONS,
    )


def downgrade() -> None:
    for name in ("reaction_counts", "reactions", "message_edits"):
        op.drop_table(name)
    for name in ("reacted", "original_hash", "reply_to_id", "deleted_at", "edited_at"):
        op.drop_column("messages", name)
