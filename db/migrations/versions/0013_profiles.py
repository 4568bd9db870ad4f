"""Users have a status text and a picture, and may be invisible.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

from db.models import TABLE_OPTIONS, BigId, UTCDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "avatars",
        sa.Column("key", sa.String(32), primary_key=True),
        sa.Column("owner_id", BigId, nullable=False),
        sa.Column("large_size", sa.BigInteger(), nullable=False),
        sa.Column("small_size", sa.BigInteger(), nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_avatars_owner"),
        sa.Index("ix_avatars_used_changed", "in_use", "changed_at"),
        sa.Index("ix_avatars_owner", "owner_id"),
        **TABLE_OPTIONS,
    )
    op.add_column(
        "users", sa.Column("status_text", sa.String(140), nullable=False, server_default="")
    )
    op.add_column("users", sa.Column("avatar_key", sa.String(32), nullable=True))
    op.add_column(
        "users", sa.Column("invisible", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_index("ix_users_invisible", "users", ["invisible", "id"])


def downgrade() -> None:
    op.drop_index("ix_users_invisible", "users")
    op.drop_column("users", "invisible")
    op.drop_column("users", "avatar_key")
    op.drop_column("users", "status_text")
    op.drop_table("avatars")
