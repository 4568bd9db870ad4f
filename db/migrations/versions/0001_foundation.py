"""Users, messages and the log's head.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from db.models import TABLE_OPTIONS, BigId, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("display_name", sa.String(100), nullable=False),
        sa.Column("search_name", sa.String(300), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("last_seen_at", UTCDateTime(), nullable=True),
        sa.UniqueConstraint("email", name="uq_users_email"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "messages",
        sa.Column("id", BigId, primary_key=True, autoincrement=False),
        sa.Column("sender_id", BigId, nullable=False),
        sa.Column("receiver_id", BigId, nullable=True),
        sa.Column("lower_user_id", BigId, nullable=True),
        sa.Column("higher_user_id", BigId, nullable=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("client_message_id", sa.String(128), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["sender_id"], ["users.id"], name="fk_messages_sender"),
        sa.ForeignKeyConstraint(["receiver_id"], ["users.id"], name="fk_messages_receiver"),
        sa.UniqueConstraint("sender_id", "client_message_id", name="uq_messages_client_message_id"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_messages_pair", "messages", ["lower_user_id", "higher_user_id", "id"])
    op.create_index("ix_messages_sender", "messages", ["sender_id", "id"])
    op.create_index("ix_messages_receiver", "messages", ["receiver_id", "id"])
    log_head = op.create_table(
        "log_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("position", BigId, nullable=False),
        **TABLE_OPTIONS,
    )
    op.bulk_insert(log_head, [{"id": 1, "position": 0}])


def downgrade() -> None:
    op.drop_table("log_head")
    op.drop_table("messages")
    op.drop_table("users")
