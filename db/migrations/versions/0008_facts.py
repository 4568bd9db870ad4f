"""One log of facts: what the notices said is in the log, at positions of its own.

Revision ID: 0008
Revises: 0007
"""

import json
import secrets
from typing import Any

import sqlalchemy as sa
from alembic import op

from db.models import TABLE_OPTIONS, BigId, UTCDateTime
from db.resumable import THE_WAY_BACK

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NOTICES = sa.table(
    "notices",
    sa.column("id", BigId),
    sa.column("kind", sa.String),
    sa.column("user_id", BigId),
    sa.column("other", BigId),
    sa.column("moment", UTCDateTime()),
    sa.column("created_at", UTCDateTime()),
)
BLOCKS = sa.table("blocks", sa.column("blocker_id", BigId), sa.column("blocked_id", BigId))
USERS = sa.table(
    "users",
    sa.column("id", BigId),
    sa.column("is_admin", sa.Boolean),
    sa.column("disabled_at", UTCDateTime()),
    sa.column("deleted_at", UTCDateTime()),
)
HEAD = sa.table(
    "log_head",
    sa.column("position", BigId),
    sa.column("control_position", BigId),
    sa.column("epoch", sa.String),
)
LOG = sa.table(
    "log",
    sa.column("position", BigId),
    sa.column("kind", sa.String),
    sa.column("actor_id", BigId),
    sa.column("audience", sa.Text),
    sa.column("body", sa.Text),
    sa.column("created_at", UTCDateTime()),
)


def upgrade() -> None:
    op.create_table(
        "log",
        sa.Column("position", BigId, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("actor_id", BigId, nullable=True),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        **TABLE_OPTIONS,
    )
    op.add_column(
        "log_head",
        sa.Column("control_position", BigId, nullable=False, server_default=sa.text("0")),
    )
    op.add_column("log_head", sa.Column("epoch", sa.String(32), nullable=False, server_default=""))
    op.add_column("log_head", sa.Column("broadcast", sa.String(8), nullable=True))
    op.execute(HEAD.update().where(HEAD.c.epoch == "").values(epoch=secrets.token_hex(16)))
    _carry_notices()
    op.drop_table("notices")


def _carry_notices() -> None:
    """Append what the notices of the last hour said: all that is kept of them.

    In one transaction with the head's new position, which the next statement commits: a try that
    was ended before leaves nothing of it, one that was ended later leaves nothing to do.
    """
    connection = op.get_bind()
    if not sa.inspect(connection).has_table("notices"):
        return
    if connection.execute(sa.select(LOG.c.position).limit(1)).first() is not None:
        return
    head = connection.execute(sa.select(HEAD.c.position)).scalar_one()
    named = {
        kind: sa.select(NOTICES.c.user_id).where(NOTICES.c.kind == kind)
        for kind in ("block.changed", "user.changed")
    }
    found = connection.execute(
        sa.select(BLOCKS).where(BLOCKS.c.blocker_id.in_(named["block.changed"]))
    )
    blocks = {tuple(row) for row in found}
    found = connection.execute(sa.select(USERS).where(USERS.c.id.in_(named["user.changed"])))
    users = {row.id: row for row in found}
    rows: list[dict[str, Any]] = []
    for notice in connection.execute(sa.select(NOTICES).order_by(NOTICES.c.id)):
        body = _body(notice, blocks, users)
        if body is not None:
            rows.append(
                {
                    "position": head + len(rows) + 1,
                    "kind": body["type"],
                    "actor_id": notice.user_id,
                    "audience": '{"type":"processes"}',
                    "body": json.dumps(body),
                    "created_at": notice.created_at,
                }
            )
    if rows:
        position = head + len(rows)
        connection.execute(LOG.insert(), rows)
        connection.execute(HEAD.update().values(position=position, control_position=position))


def _body(
    notice: Any, blocks: set[tuple[Any, ...]], users: dict[int, Any]
) -> dict[str, Any] | None:
    match notice.kind:
        case "session.ended":
            return {"type": "session.ended", "session_ids": [notice.other]}
        case "older_tokens.ended":
            return {"type": "session.ended", "session_ids": [], "older_tokens": True}
        case "session.renewed":
            ends = notice.moment.isoformat()
            return {"type": notice.kind, "session_id": notice.other, "expires_at": ends}
        case "block.changed":
            # A notice did not say which way: as it came to be in the end.
            blocked = (notice.user_id, notice.other) in blocks
            return {"type": notice.kind, "user_id": notice.other, "blocked": blocked}
        case "user.changed" if notice.user_id in users:
            user = users[notice.user_id]
            return {
                "type": "account.changed",
                "disabled": user.disabled_at is not None,
                "deleted": user.deleted_at is not None,
                "is_admin": bool(user.is_admin),
            }
    return None


def downgrade() -> None:
    raise NotImplementedError(f"positions of facts cannot be taken back. {THE_WAY_BACK}")
