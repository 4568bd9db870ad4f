"""The log says who is shown each fact, so that a user's facts are ranges of an index.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

from db.models import TABLE_OPTIONS, BigId

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nothing to carry over: no fact that users are shown was stored before.
    op.add_column("log", sa.Column("conversation_id", BigId, nullable=True))
    op.create_index("ix_log_conversation", "log", ["conversation_id", "position"])
    op.create_table(
        "log_people",
        sa.Column("user_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("position", BigId, primary_key=True, autoincrement=False),
        sa.Index("ix_log_people_position", "position"),
        **TABLE_OPTIONS,
    )
    op.add_column(
        "log_head",
        sa.Column("pruned_position", BigId, nullable=False, server_default=sa.text("0")),
    )


def downgrade() -> None:
    op.drop_column("log_head", "pruned_position")
    op.drop_table("log_people")
    op.drop_index("ix_log_conversation", "log")
    op.drop_column("log", "conversation_id")
