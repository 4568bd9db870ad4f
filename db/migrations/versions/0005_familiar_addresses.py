"""The addresses from which the owner of each account came in lately.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from db.models import TABLE_OPTIONS, BigId, UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "familiar_addresses",
        sa.Column("user_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("address", sa.String(64), primary_key=True),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_familiar_addresses_user"),
        **TABLE_OPTIONS,
    )
    op.create_index("ix_familiar_addresses_seen", "familiar_addresses", ["seen_at"])


def downgrade() -> None:
    op.drop_table("familiar_addresses")
