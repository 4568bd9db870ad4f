"""What the attachments of each user take together.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "users", sa.Column("stored_bytes", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE users SET stored_bytes = COALESCE((SELECT"
        " SUM(files.size + COALESCE(files.thumbnail_size, 0)) FROM attachments"
        " JOIN files ON files.id = attachments.file_id WHERE attachments.owner_id = users.id), 0)"
    )


def downgrade() -> None:
    op.drop_column("users", "stored_bytes")
