"""`export --user`: what the server keeps of one user, for that user."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from commands.exports.everything import FORMAT, copy
from commands.exports.folder import Folder
from commands.exports.snapshot import ROWS, snapshot, stream
from db.engines.database import Database
from db.files import FileStore
from db.groups.pages import page_with_groups
from db.models import (
    Attachment,
    Avatar,
    Block,
    Conversation,
    FamiliarAddress,
    File,
    Member,
    MessageEdit,
    Reaction,
    SessionRow,
    StoredAttachment,
    StoredMessage,
    User,
)
from resolvers.attachments.avatars import SIDES, stored_name

PROFILE = (
    "id", "email", "display_name", "status_text", "created_at", "last_seen_at", "is_admin",
    "disabled_at", "read_receipts", "invisible", "stored_bytes",
)  # fmt: skip
SESSION = ("id", "created_at", "last_seen_at", "expires_at", "agent", "address")
CONVERSATION = ("id", "kind", "title", "created_at")
MEMBERSHIP = (
    "role", "joined_at", "read_position", "muted_until", "archived", "pinned",
)  # fmt: skip
ATTACHMENT = ("id", "kind", "filename", "created_at", "sent_at")
FILE = ("name", "size", "media_type", "width", "height", "duration_ms")


class Exported(NamedTuple):
    """What was written."""

    messages: int
    files: int


async def export_person(
    database: Database, files: FileStore, folder: Folder, email: str, *, shows_all_broadcasts: bool
) -> Exported | None:
    """Write a user's data, as it was at one moment; None where nobody has this e-mail.

    No token and no password hash is among it, and of other people only what the user sees: their
    names, and the messages. `shows_all_broadcasts` is BROADCAST_HISTORY=everything.
    """
    async with snapshot(database) as connection:
        found = await connection.execute(select(User.__table__).where(col(User.email) == email))  # type: ignore[attr-defined]  # SQLModel hides it
        user = found.mappings().one_or_none()
        if user is None:
            return None
        person = _Person(connection, folder, user["id"])
        await person.write_account(user)
        await person.write_conversations()
        after = 0 if shows_all_broadcasts else user["joined_position"]
        messages = await folder.write_lines("messages.jsonl", person.messages(after))
        await person.write_lists()
        copied = await person.copy_files(files, user["avatar_key"])
    described = {**FORMAT, "of": user["email"], "made_at": datetime.now(UTC)}
    folder.write("export.json", {**described, "messages": messages, "files": copied})
    return Exported(messages, copied)


class _Person:
    def __init__(self, connection: AsyncConnection, folder: Folder, user_id: int) -> None:
        self._connection = connection
        self._folder = folder
        self._id = user_id
        self._names: dict[int, str] = {}

    async def write_account(self, user: Any) -> None:
        self._folder.write("profile.json", {name: user[name] for name in PROFILE})
        sessions = _of(SessionRow, SESSION).where(col(SessionRow.user_id) == self._id)
        addresses = _of(FamiliarAddress, ("address", "seen_at")).where(
            col(FamiliarAddress.user_id) == self._id
        )
        self._folder.write(
            "sessions.json",
            {
                "sessions": await self._rows(sessions.order_by(col(SessionRow.id))),
                "known_addresses": await self._rows(addresses),
            },
        )

    async def write_conversations(self) -> None:
        table, member = Conversation.__table__.c, Member.__table__.c  # type: ignore[attr-defined]  # SQLModel hides them
        query = (
            select(
                *(table[name] for name in CONVERSATION),
                *(member[name] for name in MEMBERSHIP),
                table.lower_user_id,
                table.higher_user_id,
                member.left_position,
                member.left_title,
            )
            .join(Member, col(Member.conversation_id) == col(Conversation.id))
            .where(col(Member.user_id) == self._id)
            .order_by(col(Conversation.id))
        )
        await self._folder.write_lines("conversations.jsonl", self._conversations(query))

    async def _conversations(self, query: Select[Any]) -> AsyncIterator[dict[str, Any]]:
        after = 0
        # In pages: a stream would hold the connection, and names are looked up meanwhile.
        while page := await self._rows(query.where(col(Conversation.id) > after).limit(ROWS)):
            after = page[-1]["id"]
            pairs = [{row.pop("lower_user_id"), row.pop("higher_user_id")} for row in page]
            await self._learn({*chain.from_iterable(pairs)})
            for row, pair in zip(page, pairs, strict=True):
                people = pair - {None}
                row["has_left"] = row.pop("left_position") is not None
                left_title = row.pop("left_title")
                if row["has_left"]:  # as they see it
                    row["title"] = left_title
                row["with"] = [self._named(id_) for id_ in sorted(people - {self._id} or people)]
                yield row

    async def messages(self, broadcasts_after: int) -> AsyncIterator[dict[str, Any]]:
        """Yield what the user sees, the oldest first, by the one rule of who sees what."""
        after = 0
        while True:
            page = await page_with_groups(
                self._connection,
                self._id,
                after=after,
                newest=False,
                limit=ROWS,
                broadcasts_after=broadcasts_after,
            )
            if not page:
                return
            await self._learn({m.sender_id for m in page} | {m.receiver_id for m in page})
            edits = await self._edits([m.id for m in page if m.sender_id == self._id])
            for message in page:
                yield self._message(message, edits.get(message.id, []))
            after = page[-1].id

    async def _edits(self, message_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """Return what the user's own messages said before, which their sender alone sees."""
        query = _of(MessageEdit, ("message_id", "content", "edited_at"))
        query = query.where(col(MessageEdit.message_id).in_(message_ids))
        found: dict[int, list[dict[str, Any]]] = {}
        for row in await self._rows(query.order_by(col(MessageEdit.number))):
            found.setdefault(row.pop("message_id"), []).append(row)
        return found

    def _message(self, message: StoredMessage, edits: list[dict[str, Any]]) -> dict[str, Any]:
        receiver = message.receiver_id
        return {
            "id": message.id,
            "conversation_id": message.conversation_id,
            "sender": self._named(message.sender_id),
            "receiver": None if receiver is None else self._named(receiver),
            "kind": message.kind,
            "content": message.content,
            "created_at": message.created_at,
            "edited_at": message.edited_at,
            "deleted_at": message.deleted_at,
            "reply_to_id": message.reply_to_id,
            "metadata": None
            if message.metadata_json is None
            else msgspec.Raw(message.metadata_json.encode()),
            "attachment": _described(message.attachment),
            "earlier_texts": edits,
        }

    async def write_lists(self) -> None:
        reactions = _of(Reaction, ("message_id", "emoji", "created_at")).where(
            col(Reaction.user_id) == self._id
        )
        await self._folder.write_lines("reactions.jsonl", stream(self._connection, reactions))
        query = _of(Block, ("blocked_id", "created_at")).where(col(Block.blocker_id) == self._id)
        blocks = await self._rows(query)
        await self._learn({row["blocked_id"] for row in blocks})
        self._folder.write(
            "blocks.json",
            [
                {"blocked": self._named(row["blocked_id"]), "created_at": row["created_at"]}
                for row in blocks
            ],
        )

    async def copy_files(self, files: FileStore, avatar_key: str | None) -> int:
        """Copy what the user has uploaded, and their picture; return how many files there are."""
        attachment, file = Attachment.__table__.c, File.__table__.c  # type: ignore[attr-defined]  # SQLModel hides them
        query = (
            select(*(attachment[name] for name in ATTACHMENT), *(file[name] for name in FILE))
            .join(File, col(File.id) == col(Attachment.file_id))
            .where(col(Attachment.owner_id) == self._id, col(File.sha256).is_not(None))
            .order_by(col(Attachment.id))
        )
        copied = 0
        lines = []
        async for row in stream(self._connection, query):
            to = f"files/{row['id']}{_suffix(row['filename'])}"
            is_there = await copy(files, row.pop("name"), row["size"], self._folder, to)
            copied += is_there
            lines.append({**row, "file": to if is_there else None})
        self._folder.write("files.json", lines)
        if avatar_key is not None:
            query = select(Avatar.__table__).where(col(Avatar.key) == avatar_key)  # type: ignore[attr-defined]  # SQLModel hides it
            for row in await self._rows(query):
                name = stored_name(avatar_key, SIDES["large"])
                copied += await copy(
                    files, name, row["large_size"], self._folder, "files/avatar.webp"
                )
        return copied

    async def _rows(self, query: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in (await self._connection.execute(query)).mappings()]

    async def _learn(self, ids: Any) -> None:
        """Know the names of these people; of a few hundred at a time."""
        if len(self._names) > 100_000:
            self._names.clear()
        unknown = [id_ for id_ in ids if id_ is not None and id_ not in self._names]
        query = _of(User, ("id", "display_name")).where(col(User.id).in_(unknown))
        self._names |= {row["id"]: row["display_name"] for row in await self._rows(query)}

    def _named(self, user_id: int) -> dict[str, Any]:
        return {"id": user_id, "name": self._names.get(user_id)}


def _of(model: Any, names: Sequence[str]) -> Select[Any]:
    """Return the query for some columns of a table."""
    return select(*(model.__table__.c[name] for name in names))


def _described(attachment: StoredAttachment | None) -> dict[str, Any] | None:
    if attachment is None:
        return None
    return {
        "id": attachment.id,
        "filename": attachment.filename,
        "media_type": attachment.media_type,
        "size": attachment.size,
    }


def _suffix(filename: str) -> str:
    """Return the end of a file's name, if it is a plain one: the rest may be anything."""
    end = filename.rpartition(".")[2]
    return (
        f".{end}" if end != filename and len(end) <= 8 and end.isascii() and end.isalnum() else ""
    )
