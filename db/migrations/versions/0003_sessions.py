"""Sessions, notices, and users who are administrators, disabled or deleted.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from db.models import COUNTED_OPTIONS, BigId, UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "users", sa.Column("is_admin", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    for name in ("disabled_at", "deleted_at", "tokens_from"):
        op.add_column("users", sa.Column(name, UTCDateTime(), nullable=True))
    op.create_table(
        "sessions",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("last_seen_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user"),
        **COUNTED_OPTIONS,
    )
    op.create_index("ix_sessions_user", "sessions", ["user_id", "id"])
    op.create_index("ix_sessions_expires", "sessions", ["expires_at"])
    op.create_table(
        "notices",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("other", BigId, nullable=True),
        sa.Column("moment", UTCDateTime(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        **COUNTED_OPTIONS,
    )
    op.create_index("ix_notices_created", "notices", ["created_at"])


def downgrade() -> None:
    op.drop_table("notices")
    op.drop_table("sessions")
    for name in ("tokens_from", "deleted_at", "disabled_at", "is_admin"):
        op.drop_column("users", name)
