"""Groups: their pictures, and which rows of `members` are theirs.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

from db.models import BigId, UTCDateTime
from db.resumable import THE_WAY_BACK

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("conversations", sa.Column("avatar_id", BigId, nullable=True))
    op.add_column(
        "members", sa.Column("is_group", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column(
        "members", sa.Column("sees_after", BigId, nullable=False, server_default=sa.text("0"))
    )
    op.add_column("members", sa.Column("joined_at", UTCDateTime(), nullable=True))
    op.create_index("ix_members_groups", "members", ["user_id", "is_group"])


def downgrade() -> None:
    raise NotImplementedError(
        f"what was written in groups would be shown to nobody, or to all. {THE_WAY_BACK}"
    )
