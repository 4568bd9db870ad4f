"""Edits and deletions as every face shows them: the same text, and no deleted message in lists."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
import socketio

from tests.support.faces import (
    FACES,
    Account,
    GraphQLFace,
    Refused,
    RestFace,
    Seen,
    new_account,
)
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


async def test_an_older_client_that_resumes_gets_edited_text_and_nothing_deleted(
    chat: RunningServer,
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with GraphQLFace.open(chat, alice) as editor:
        sent = [await editor.send(text, bob.id) for text in ("kept", "old", "secret", "last")]
        await edit(editor, sent[1].id, "new")
        await delete(editor, sent[2].id)
    heard = await resumed(chat, bob, sent[0].id - 1, until="last")
    assert [seen.content for seen in heard] == ["kept", "new", "last"]


async def resumed(chat: RunningServer, account: Account, after: int, until: str) -> list[Seen]:
    """Return what an older client hears that resumes after a position, up to this text."""
    client = socketio.AsyncClient(reconnection=False)
    heard: list[Seen] = []
    done = asyncio.Event()

    def hear(shape: dict[str, Any]) -> None:
        heard.append(Seen.of(shape))
        if shape["content"] == until:
            done.set()

    client.on("message:new", hear)
    await client.connect(chat.url, transports=["websocket"])
    await client.emit("auth:login", {"token": account.token, "after": after})
    await asyncio.wait_for(done.wait(), 10)
    await client.disconnect()
    return heard


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
