"""Messages have custom data; an index finds those who have read receipts off.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("metadata_json", sa.Text(), nullable=True))
    op.create_index("ix_users_receipts", "users", ["read_receipts", "id"])


def downgrade() -> None:
    op.drop_index("ix_users_receipts", "users")
    op.drop_column("messages", "metadata_json")
