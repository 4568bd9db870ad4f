"""Where the log was when each user registered.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

from db.models import BigId

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Whoever is there already goes on reading all that they could read.
    op.add_column(
        "users", sa.Column("joined_position", BigId, nullable=False, server_default=sa.text("0"))
    )


def downgrade() -> None:
    op.drop_column("users", "joined_position")
