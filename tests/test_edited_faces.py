"""Edits and deletions as every face shows them: the same text, and no deleted message in lists."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
import socketio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.db.rows import open_database
from tests.support.faces import (
    FACES,
    Account,
    GraphQLFace,
    Refused,
    RestFace,
    Seen,
    new_account,
)
from tests.support.inbox import Inbox
from tests.support.server import RunningServer

each_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)


async def edit(face: GraphQLFace, id_: int, content: str) -> None:
    """Edit a message."""
    query = (
        "mutation($id: ID!, $content: String!) { editMessage(id: $id, content: $content) { id } }"
    )
    await face.execute(query, {"id": str(id_), "content": content})


async def delete(face: GraphQLFace, *ids: int) -> None:
    """Delete messages."""
    query = "mutation($id: ID!) { deleteMessage(id: $id) { id } }"
    await asyncio.gather(*(face.execute(query, {"id": str(id_)}) for id_ in ids))


def with_text(seen: Seen, content: str) -> Seen:
    """Return the message with another text."""
    return msgspec.structs.replace(seen, content=content)


@each_face
async def test_lists_show_edited_text_and_of_deleted_messages_at_most_a_tombstone(
    chat: RunningServer, face: Any
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with (
        face.open(chat, alice) as sender,
        face.open(chat, bob) as reader,
        GraphQLFace.open(chat, alice) as editor,
    ):
        kept, edited, deleted = [await sender.send(f"x{n}", bob.id) for n in range(3)]
        await edit(editor, edited.id, "y 🎉")
        await delete(editor, deleted.id)
        expected = [kept, with_text(edited, "y 🎉")]
        if face is GraphQLFace:
            expected.append(with_text(deleted, ""))
        for client in (sender, reader):
            history = await client.history()
            assert [seen for seen in history if seen.sender_id == alice.id] == expected


@each_face
async def test_a_retry_is_answered_with_the_message_as_it_is_now(
    chat: RunningServer, face: Any
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    key = {"clientMessageId": uuid4().hex}
    async with face.open(chat, alice) as sender, GraphQLFace.open(chat, alice) as editor:
        sent = await sender.send("first", bob.id, **key)

        async def expect_retries(now: str) -> None:
            assert await sender.send("first", bob.id, **key) == with_text(sent, now)
            for other in (("second", bob.id), ("other", bob.id), ("first", alice.id), ("first",)):
                with pytest.raises(Refused, match="CONFLICT"):
                    await sender.send(*other, **key)

        await expect_retries("first")
        await edit(editor, sent.id, "second")
        await expect_retries("second")
        await delete(editor, sent.id)
        await expect_retries("")


async def test_a_page_of_deleted_messages_is_not_the_end_of_a_rest_list(
    chat: RunningServer,
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with GraphQLFace.open(chat, alice) as editor, RestFace.open(chat, bob) as rest:
        sent = [await editor.send(f"{number}", bob.id) for number in range(130)]
        # More than a page of the server's own, and more than a client's.
        await delete(editor, *(message.id for message in sent[5:125]))
        kept = [message.id for message in (*sent[:5], *sent[125:])]

        async def page(**query: int) -> list[int]:
            asked = {"with": alice.id, **query}
            answer = await rest._http.get("/api/messages", params=asked)
            assert answer.status_code == 200, answer.text
            return [row["id"] for row in answer.json()]

        assert await page() == kept[::-1]
        assert await page(limit=7) == kept[:2:-1]
        assert await page(limit=3, before=kept[5]) == kept[4:1:-1]
        assert await page(limit=7, after=kept[0] - 1) == kept[6::-1]
        assert await page(before=sent[124].id, after=sent[5].id) == []
        # To the end by pages, from either side.
        for step, first in (("before", 10**17), ("after", 0)):
            found: list[int] = []
            while rows := await page(limit=3, **{step: found[-1] if found else first}):
                found += rows if step == "before" else rows[::-1]
            assert sorted(found) == kept
        rows = (await rest._http.get("/api/message/all-message")).json()
        assert [row["id"] for row in rows if row["sender_id"] == alice.id] == kept[::-1]


class Older:
    """An older client's events about messages, in order."""

    EVENTS = ("message:new", "message:edited", "message:deleted")

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.heard: Inbox[tuple[str, Any]] = Inbox()
        for event in self.EVENTS:
            self.client.on(event, partial(self._hear, event))

    async def _hear(self, event: str, shape: Any) -> None:
        self.heard.put((event, shape))

    async def until(self, content: str) -> list[tuple[str, Any]]:
        """Return what was heard before a new message of this content."""
        await self.heard.expect(lambda e: e[0] == "message:new" and e[1]["content"] == content, 10)
        return [(event, shape) for event, shape in self.heard.items][:-1]

    @classmethod
    @asynccontextmanager
    async def open(
        cls, chat: RunningServer, account: Account, after: int | None = None
    ) -> AsyncIterator["Older"]:
        """Connect and log in, perhaps to resume after a position."""
        older = cls()
        done = asyncio.Event()
        older.client.on("auth:ok", done.set)
        await older.client.connect(chat.url, transports=["websocket"])
        login = {"token": account.token} | ({} if after is None else {"after": after})
        await older.client.emit("auth:login", login)
        await asyncio.wait_for(done.wait(), 10)
        yield older
        await older.client.disconnect()


async def edited_at(face: GraphQLFace, id_: int) -> str:
    """Return when a message was edited."""
    data = await face.execute(f"{{ message(id: {id_}) {{ editedAt }} }}")
    return str(data["message"]["editedAt"])


async def test_older_clients_hear_of_edits_and_deletions(chat: RunningServer) -> None:
    alice, bob, carol = [await new_account(chat) for _ in range(3)]
    async with (
        GraphQLFace.open(chat, alice) as editor,
        Older.open(chat, alice) as own,
        Older.open(chat, bob) as reader,
        Older.open(chat, carol) as stranger,
    ):
        one, two = [await editor.send(f"x{number}", bob.id) for number in range(2)]
        broadcast = await editor.send("to all")
        react = f'mutation {{ addReaction(messageId: {one.id}, emoji: "👍") {{ id }} }}'
        await editor.execute(react)  # of which they hear nothing
        await edit(editor, one.id, "y 🎉")
        await edit(editor, broadcast.id, "to everybody")
        at, at_all = [await edited_at(editor, message.id) for message in (one, broadcast)]
        await delete(editor, two.id)
        await delete(editor, two.id)  # again: it is so already
        await editor.send("the end")
        of_all = {"id": broadcast.id, "content": "to everybody", "editedAt": at_all}
        changes = [
            ("message:edited", {"id": one.id, "content": "y 🎉", "editedAt": at}),
            ("message:edited", of_all),
            ("message:deleted", {"id": two.id}),
        ]
        for client in (own, reader):
            assert (await client.until("the end"))[3:] == changes
        assert (await stranger.until("the end"))[1:] == [changes[1]]


async def test_an_older_client_that_resumes_gets_what_was_changed_since(
    chat: RunningServer,
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with GraphQLFace.open(chat, alice) as editor:
        old = [await editor.send(text, bob.id) for text in ("a", "b", "c")]
        new = [await editor.send(text, bob.id) for text in ("kept", "typo", "secret")]
        await edit(editor, new[1].id, "right")
        await edit(editor, old[0].id, "a2")
        await edit(editor, old[1].id, "b2")
        await delete(editor, new[2].id, old[1].id)
        await editor.send("the end")
        at = [await edited_at(editor, message.id) for message in (new[1], old[0])]
        async with Older.open(chat, bob, old[-1].id) as reader:
            heard = await reader.until("the end")
            shown = [(event, shape["content"]) for event, shape in heard[:2]]
            # Each message as it is now, and of deleted ones no text.
            assert shown == [("message:new", "kept"), ("message:new", "right")]
            edits = [
                ("message:edited", {"id": new[1].id, "content": "right", "editedAt": at[0]}),
                ("message:edited", {"id": old[0].id, "content": "a2", "editedAt": at[1]}),
            ]
            assert heard[2:4] == edits
            assert sorted((event, shape["id"]) for event, shape in heard[4:]) == [
                ("message:deleted", old[1].id),
                ("message:deleted", new[2].id),
            ]
            # And then it goes on.
            await edit(editor, old[2].id, "c2")
            await reader.heard.expect(
                lambda e: e[0] == "message:edited" and e[1]["content"] == "c2"
            )


async def test_past_what_is_kept_of_changes_an_older_client_gets_messages(
    chat: RunningServer,
) -> None:
    alice = await new_account(chat)
    async with GraphQLFace.open(chat, alice) as editor:
        sent = [await editor.send(text, alice.id) for text in ("a", "secret", "typo", "the end")]
        await delete(editor, sent[1].id)
        await edit(editor, sent[2].id, "right")
    async with connect_to(chat) as connection:
        await connection.execute(text("UPDATE log_head SET pruned_position = position"))
    async with Older.open(chat, alice, sent[0].id - 1) as reader:
        heard = await reader.until("the end")
        assert [(event, shape["content"]) for event, shape in heard] == [
            ("message:new", "a"),
            ("message:new", "right"),
        ]
    async with connect_to(chat) as connection:
        await connection.execute(text("UPDATE log_head SET pruned_position = 0"))


@asynccontextmanager
async def connect_to(chat: RunningServer) -> AsyncIterator[AsyncConnection]:
    """Lend a connection to the server's database, in a transaction."""
    database = open_database(chat.settings.database)
    async with database.write() as connection:
        yield connection
    await database.close()


async def test_an_edited_caption_is_shown_as_older_clients_show_one(chat: RunningServer) -> None:
    alice = await new_account(chat)
    async with (
        GraphQLFace.open(chat, alice) as editor,
        RestFace.open(chat, alice) as sender,
        Older.open(chat, alice) as reader,
    ):
        uploaded = await sender._http.post("/api/uploads", files={"f": ("a.txt", b"x")})
        body = {"attachmentId": uploaded.json()["id"], "toUserId": alice.id, "content": "look"}
        sent = (await sender._http.post("/api/messages/send", json=body)).json()
        await edit(editor, sent["id"], "")
        _, shape = await reader.heard.expect(lambda e: e[0] == "message:edited")
        # Without a caption, the file's name.
        assert shape["content"] == "a.txt"
        assert (await sender._http.get("/api/messages")).json()[0]["content"] == "a.txt"


async def test_the_file_of_a_deleted_message_is_gone_from_every_route(chat: RunningServer) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with (
        GraphQLFace.open(chat, alice) as editor,
        RestFace.open(chat, alice) as sender,
        RestFace.open(chat, bob) as reader,
        httpx.AsyncClient(base_url=chat.url) as anybody,
    ):
        answer = await sender._http.post("/api/uploads", files={"f": ("a.txt", b"secret")})
        uploaded = answer.json()
        body = {"attachmentId": uploaded["id"], "toUserId": bob.id}
        sent = (await sender._http.post("/api/messages/send", json=body)).json()
        [seen] = [
            row for row in (await reader._http.get("/api/messages")).json() if row["attachment"]
        ]
        signed, plain = seen["attachment"]["url"], f"/files/{uploaded['id']}"
        ways = ((anybody, signed), (reader._http, plain), (sender._http, plain))
        assert [(await http.get(url)).status_code for http, url in ways] == [200] * 3
        await delete(editor, sent["id"])
        assert [(await http.get(url)).status_code for http, url in ways] == [404] * 3
