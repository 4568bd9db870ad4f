"""Attachments on three faces: each uploads, each sends, and each sees the same."""

import hashlib
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import on_mariadb
from tests.schema.client import open_socket
from tests.support.attaching import (
    CLIENTS,
    MESSAGE,
    Client,
    File,
    GraphQLClient,
    RestClient,
    Shape,
    SocketIOClient,
    same,
)
from tests.support.faces import Refused, SocketIOFace, new_account
from tests.support.files import image_file, voice
from tests.support.server import RunningServer

PNG = image_file("PNG", 64, 48)
NOTE = voice("audio/ogg", silence=0.2, tone=0.3)


FILES = (
    File("Ünterwegs 🎉.png", PNG, "IMAGE", "image/png"),
    File("note.ogg", NOTE, "VOICE", "audio/ogg"),
    File("a.txt", b"plain text", "FILE", "application/octet-stream"),
)
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.kind)
each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


@each_file
@pytest.mark.parametrize("caption", ["", "a caption 🎉"], ids=["no caption", "a caption"])
@each_client
async def test_what_one_face_uploads_and_sends_every_face_gets(
    sqlite_chat: RunningServer, client: Any, caption: str, file: File
) -> None:
    await everybody_gets(sqlite_chat, client, caption, file)


@on_mariadb
@each_client
async def test_what_one_face_uploads_and_sends_comes_from_mariadb_too(
    chat: RunningServer, client: Any
) -> None:
    await everybody_gets(chat, client, "a caption 🎉", FILES[0])


async def everybody_gets(chat: RunningServer, client: Any, caption: str, file: File) -> None:
    """Upload and send a file by one face; ask every face for it."""
    alice, bob = await new_account(chat, "Alice"), await new_account(chat, "Bob")
    async with AsyncExitStack() as stack:
        sender: Client = await stack.enter_async_context(client.open(chat, alice))
        readers: list[Client] = [
            await stack.enter_async_context(kind.open(chat, somebody))
            for kind in CLIENTS
            for somebody in (alice, bob)
        ]
        uploaded = await sender.upload(file)
        assert uploaded["kind"] == file.kind
        assert uploaded["filename"] == file.filename
        assert uploaded["mediaType"] == file.media_type
        assert uploaded["sha256"] == hashlib.sha256(file.content).hexdigest()
        fields = {"content": caption} if caption else {}
        sent = await sender.send(
            receiverId=bob.id, kind=file.kind, attachmentId=uploaded["id"], **fields
        )
        assert sent["attachment"] == uploaded
        assert (sent["kind"], sent["receiverId"]) == (file.kind, bob.id)
        for reader in readers:
            expected = {**sent, "content": reader.content(caption, file)}
            assert await reader.hear(sent["id"]) == expected
            assert (await reader.history())[sent["id"]] == expected
            opened = await reader.http.get(uploaded["url"])
            assert (opened.status_code, opened.content) == (200, file.content)
        rows = (await sender.http.get("/api/message/all-message?limit=1")).json()
        assert rows[0]["content"] == (caption or file.filename)
        assert same(rows[0]["attachment"]) == uploaded


@each_client
async def test_a_broadcast_carries_a_file_to_everybody(chat: RunningServer, client: Any) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with (
        client.open(chat, alice) as sender,
        GraphQLClient.open(chat, bob) as one,
        SocketIOClient.open(chat, bob) as other,
    ):
        uploaded = await sender.upload(FILES[0])
        sent = await sender.send(kind="IMAGE", attachmentId=uploaded["id"], content="x")
        assert sent["receiverId"] is None
        assert await one.hear(sent["id"]) == sent
        assert await other.hear(sent["id"]) == sent
        assert (await one.http.get(uploaded["url"])).content == PNG


@each_client
async def test_who_resumes_gets_the_files_that_were_missed(
    chat: RunningServer, client: Any
) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with client.open(chat, alice) as sender:
        first = await sender.send(content="before", receiverId=bob.id)
        uploads = [await sender.upload(file) for file in FILES]
        sent = [
            await sender.send(
                receiverId=bob.id, kind=uploaded["kind"], attachmentId=uploaded["id"], content="c"
            )
            for uploaded in uploads
        ]
        async with open_socket(chat, bob) as socket, SocketIOFace.open(chat, None) as older:
            query = f"subscription($a: ID) {{ messageAdded(after: $a) {{ {MESSAGE} }} }}"
            await socket.subscribe("live", query, {"a": str(first["id"])})
            await older.emit("auth:login", {"token": bob.token, "after": first["id"]})
            uploads.append(await sender.upload(FILES[0]))
            sent.append(
                await sender.send(
                    receiverId=bob.id, kind="IMAGE", attachmentId=uploads[-1]["id"], content="live"
                )
            )
            heard = [await socket.expect(id="live") for _ in sent]
            assert [same(m["payload"]["data"]["messageAdded"]) for m in heard] == sent
            events = await older.events.expect_many(lambda e: e[0] == "message:new", len(sent))
            assert [same(shape) for _, shape in events] == sent
            assert [message["attachment"] for message in sent] == uploads


@each_client
async def test_a_file_that_cannot_be_sent_so_is_refused_and_nothing_else_happens(
    sqlite_chat: RunningServer, client: Any
) -> None:
    alice, bob, carol = [await new_account(sqlite_chat, name) for name in ("Alice", "Bob", "Carol")]
    async with (
        client.open(sqlite_chat, alice) as sender,
        RestClient.open(sqlite_chat, bob) as receiver,
        RestClient.open(sqlite_chat, carol) as stranger,
    ):
        mine, note = await sender.upload(FILES[0]), await sender.upload(FILES[1])
        others, secret = await stranger.upload(FILES[0]), await stranger.upload(FILES[1])
        await stranger.send(attachmentId=secret["id"], receiverId=bob.id)
        cases: list[tuple[Shape, str]] = [
            ({"kind": "IMAGE", "attachmentId": note["id"]}, "BAD_USER_INPUT"),
            ({"kind": "FILE", "attachmentId": mine["id"]}, "BAD_USER_INPUT"),
            ({"kind": "TEXT", "attachmentId": mine["id"], "content": "x"}, "BAD_USER_INPUT"),
            ({"kind": "EMOJI", "attachmentId": mine["id"], "content": "🎉"}, "BAD_USER_INPUT"),
            *(({"kind": kind, "content": "x"}, "BAD_USER_INPUT") for kind in ("IMAGE", "VOICE")),
            ({"kind": "FILE"}, "BAD_USER_INPUT"),
            ({"kind": "IMAGE", "attachmentId": None, "content": "x"}, "BAD_USER_INPUT"),
            ({"kind": "IMAGE", "attachmentId": others["id"]}, "NOT_FOUND"),
            ({"kind": "VOICE", "attachmentId": secret["id"]}, "NOT_FOUND"),
            # Not even that it is of another kind may be told.
            ({"kind": "FILE", "attachmentId": others["id"]}, "NOT_FOUND"),
            ({"kind": "IMAGE", "attachmentId": 2**40}, "NOT_FOUND"),
            ({"kind": "IMAGE", "attachmentId": "0"}, "NOT_FOUND"),
            ({"kind": "IMAGE", "attachmentId": "12x"}, "NOT_FOUND"),
            ({"kind": "IMAGE", "attachmentId": -1}, "NOT_FOUND"),
            ({"kind": "IMAGE", "attachmentId": 10**30}, "NOT_FOUND"),
            ({"kind": "IMAGE", "attachmentId": [1]}, "BAD_USER_INPUT"),
            ({"kind": "IMAGE", "attachmentId": True}, "BAD_USER_INPUT"),
            ({"kind": "IMAGE", "attachmentId": mine["id"], "content": 7}, "BAD_USER_INPUT"),
            ({"kind": "IMAGE", "attachmentId": mine["id"], "content": "\0"}, "BAD_USER_INPUT"),
            (
                {"kind": "IMAGE", "attachmentId": mine["id"], "content": "é" * 10_000},
                "PAYLOAD_TOO_LARGE",
            ),
            ({"kind": "IMAGE", "attachmentId": mine["id"], "receiverId": 2**40}, "NOT_FOUND"),
        ]
        messages = {}
        for fields, code in cases:
            with pytest.raises(Refused) as refused:
                await sender.send(**{"receiverId": bob.id, **fields})
            assert refused.value.code == code, fields
            messages[str(fields)] = refused.value.message
        # Another's and nobody's are refused in the same words.
        assert len({messages[str(fields)] for fields, _ in cases[8:12]}) == 1
        assert (await receiver.http.get(mine["url"])).status_code == 404
        sent = await sender.send(kind="IMAGE", attachmentId=mine["id"], receiverId=bob.id)
        by_alice = [m for m in (await receiver.history()).values() if m["senderId"] == alice.id]
        assert [message["id"] for message in by_alice] == [sent["id"]]


@pytest.mark.parametrize("client", [RestClient, SocketIOClient], ids=lambda client: client.name)
@each_file
async def test_older_clients_need_not_say_the_kind(
    sqlite_chat: RunningServer, client: Any, file: File
) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    async with client.open(sqlite_chat, alice) as sender:
        uploaded = await sender.upload(file)
        sent = await sender.send(attachmentId=uploaded["id"], receiverId=bob.id)
        assert (sent["kind"], sent["content"]) == (file.kind, file.filename)
        by_text = await sender.send(attachmentId=str(uploaded["id"]), receiverId=bob.id, kind="")
        assert by_text["attachment"] == uploaded


@each_client
async def test_who_may_see_a_file_may_send_it_on(sqlite_chat: RunningServer, client: Any) -> None:
    alice, bob, carol = [await new_account(sqlite_chat, name) for name in ("Alice", "Bob", "Carol")]
    async with (
        RestClient.open(sqlite_chat, alice) as first,
        client.open(sqlite_chat, bob) as second,
        GraphQLClient.open(sqlite_chat, carol) as third,
    ):
        uploaded = await first.upload(FILES[0])
        await first.send(attachmentId=uploaded["id"], receiverId=bob.id, content="from Alice")
        sent = await second.send(
            kind="IMAGE", attachmentId=uploaded["id"], receiverId=carol.id, content="look"
        )
        assert (sent["attachment"], sent["content"]) == (uploaded, "look")
        assert await third.hear(sent["id"]) == sent
        assert (await third.http.get(uploaded["url"])).content == PNG
        # One's own goes out again as well; and what Alice wrote to Bob stays between them.
        again = await first.send(attachmentId=uploaded["id"], receiverId=carol.id)
        assert again["id"] != sent["id"]
        assert {m["content"] for m in (await third.history()).values()} >= {"look", ""}
        assert "from Alice" not in {m["content"] for m in (await third.history()).values()}


@each_client
async def test_a_retry_of_a_file_is_the_same_message(chat: RunningServer, client: Any) -> None:
    alice, bob = await new_account(chat), await new_account(chat)
    async with client.open(chat, alice) as sender:
        uploaded, other = await sender.upload(FILES[0]), await sender.upload(FILES[0])
        key = uuid4().hex
        fields = {"kind": "IMAGE", "receiverId": bob.id, "clientMessageId": key}
        first = await sender.send(attachmentId=uploaded["id"], **fields)
        assert await sender.send(attachmentId=uploaded["id"], **fields) == first
        assert first["clientMessageId"] == key
        for changed in (
            {"attachmentId": other["id"]},
            {"attachmentId": uploaded["id"], "content": "a caption now"},
            {"attachmentId": None, "kind": "TEXT", "content": "no file now"},
        ):
            with pytest.raises(Refused) as refused:
                await sender.send(**{**fields, **changed})
            assert refused.value.code == "CONFLICT"
        mine = [m for m in (await sender.history()).values() if m["senderId"] == alice.id]
        assert [message["id"] for message in mine] == [first["id"]]


@each_client
async def test_emoji_and_text_carry_nothing(sqlite_chat: RunningServer, client: Any) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    async with (
        client.open(sqlite_chat, alice) as sender,
        RestClient.open(sqlite_chat, bob) as receiver,
    ):
        for kind, content in (("EMOJI", "🎉"), ("EMOJI", "👩‍👩‍👧‍👦🇫🇷❤️"), ("TEXT", "hello")):
            sent = await sender.send(kind=kind, content=content, receiverId=bob.id)
            assert (sent["kind"], sent["content"], sent["attachment"]) == (kind, content, None)
            assert await receiver.hear(sent["id"]) == sent
        with pytest.raises(Refused) as refused:
            await sender.send(kind="EMOJI", content="🎉 no", receiverId=bob.id)
        assert refused.value.code == "BAD_USER_INPUT"
