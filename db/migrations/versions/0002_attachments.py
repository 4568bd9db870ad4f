"""Files, attachments, and which messages carry them.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from db.models import COUNTED_OPTIONS, TABLE_OPTIONS, BigId, UTCDateTime, Waveform

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("size", BigId, nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("waveform", Waveform, nullable=True),
        sa.Column("thumbnail_size", sa.Integer(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.UniqueConstraint("sha256", "media_type", name="uq_files_sha256_media_type"),
        **COUNTED_OPTIONS,
    )
    op.create_table(
        "attachments",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("owner_id", BigId, nullable=False),
        sa.Column("file_id", BigId, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("sent_at", UTCDateTime(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_attachments_owner"),
        sa.ForeignKeyConstraint(["file_id"], ["files.id"], name="fk_attachments_file"),
        **COUNTED_OPTIONS,
    )
    op.create_index("ix_attachments_owner_sent", "attachments", ["owner_id", "sent_at"])
    op.create_index("ix_attachments_sent_created", "attachments", ["sent_at", "created_at"])
    op.create_index("ix_attachments_file", "attachments", ["file_id"])
    op.create_table(
        "message_attachments",
        sa.Column("message_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("attachment_id", BigId, nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_message_attachments_message"
        ),
        sa.ForeignKeyConstraint(
            ["attachment_id"], ["attachments.id"], name="fk_message_attachments_attachment"
        ),
        **TABLE_OPTIONS,
    )
    op.create_index(
        "ix_message_attachments_attachment",
        "message_attachments",
        ["attachment_id", "message_id"],
    )


def downgrade() -> None:
    op.drop_table("message_attachments")
    op.drop_table("attachments")
    op.drop_table("files")
