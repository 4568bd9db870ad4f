"""web/client: 0 messages lost, 0 twice, and a store that is what new queries give."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.support.cut import CuttableProxy, cuttable
from tests.support.faces import PASSWORD, GraphQLFace, new_account
from tests.support.node import run_node
from tests.support.ports import free_port
from tests.support.server import QUICK, RunningServer, running_server
from tests.web.client_app import another_person, client_app

HISTORY = "query($with: ID) { messages(with: $with, last: 200) { nodes { content } } }"


def numbered(word: str, count: int) -> list[str]:
    return [f"{word} {number}" for number in range(count)]


async def said_with(face: GraphQLFace, other: str) -> list[str]:
    page = (await face.execute(HISTORY, {"with": other}))["messages"]
    return [node["content"] for node in page["nodes"]]


def id_of(face: GraphQLFace) -> str:
    assert face.account is not None
    return str(face.account.id)


@pytest.fixture
async def network(sqlite_chat: RunningServer) -> AsyncIterator[CuttableProxy]:
    async with cuttable(sqlite_chat.settings.port) as proxy:
        yield proxy


async def test_a_restart_of_the_server_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'chat.db'}"
    kept: dict[str, Any] = {"database_url": database, "port": free_port()}
    words = [*numbered("before", 5), *numbered("before the app is back", 5), *numbered("after", 5)]
    async with AsyncExitStack() as stack:
        with running_server(tmp_path, **kept) as server:
            app = await stack.enter_async_context(client_app(server.url))
            alice = await app.register("Alice")
            async with another_person(server) as bob:
                account = bob.account
                for content in words[:5]:
                    await bob.send(content, alice)
                await app.hears(words[4])
        # While there is no server, the app's user writes on.
        for content in numbered("offline", 5):
            await app.queue({"with": str(account and account.id)}, content)
        with running_server(tmp_path, **kept) as server:
            async with GraphQLFace.open(server, account) as bob:
                for content in words[5:]:
                    await bob.send(content, alice)
                await app.hears(words[-1])
                await app.hears("offline 4")
                said = await said_with(bob, alice)
                assert app.heard() == said
                assert [content for content in said if content in words] == words
                assert [each for each in said if each not in words] == numbered("offline", 5)
                await app.call("open", {"with": id_of(bob)})
                await app.assert_in_step()
            await stack.aclose()


async def test_an_upload_that_outlives_its_user_is_not_kept_for_the_next_one(
    sqlite_chat: RunningServer,
) -> None:
    run = await run_node("another_user.mjs", sqlite_chat.url)
    assert run.code == 0, run.stderr
    assert run.lines == [{"type": "done", "found": [], "outbox": 0}]


async def test_a_connection_that_says_nothing_more_is_noticed_and_replaced(
    sqlite_chat: RunningServer, network: CuttableProxy
) -> None:
    async with client_app(network.url) as app, another_person(sqlite_chat) as bob:
        alice = await app.register("Alice")
        await bob.send("one", alice)
        await app.hears("one")
        # Nothing is closed: what the server says just does not come any more.
        network.hold_answers()
        await app.queue({"with": id_of(bob)}, "stored, and its answer is lost")
        await bob.hear("stored, and its answer is lost")
        await bob.send("two", alice)
        await app.node.expect_type("status", 10, status="CONNECTING")
        await network.cut()
        await network.heal()
        await bob.send("three", alice)
        await app.hears("three")
        assert app.heard() == ["one", "stored, and its answer is lost", "two", "three"]
        assert await said_with(bob, alice) == app.heard()
        await app.call("open", {"with": id_of(bob)})
        await app.assert_in_step()


async def test_a_process_that_was_killed_with_a_full_outbox_sends_it_when_it_comes_back(
    sqlite_chat: RunningServer, network: CuttableProxy, tmp_path: Path
) -> None:
    kept = {"directory": str(tmp_path / "kept")}
    async with another_person(sqlite_chat) as bob:
        async with client_app(network.url, **kept) as app:
            alice = await app.register("Alice")
            await bob.send("one", alice)
            await app.hears("one")
            network.hold_answers()
            await app.queue({"with": id_of(bob)}, "queued 0")
            await bob.hear("queued 0")  # stored, and nobody has told the app
            await network.cut()
            for content in numbered("queued", 10)[1:]:
                await app.queue({"with": id_of(bob)}, content)
            os.kill(app.node.pid, signal.SIGKILL)
        await bob.send("while it was dead", alice)
        await network.heal()
        async with client_app(network.url, **kept) as app:
            assert app.restored
            await app.call("connect")
            await app.hears("queued 9")
            await app.node.expect(
                lambda m: m["type"] == "sent" and m["message"]["content"] == "queued 9"
            )
            # What the first process has shown is not told again; its own message had not come.
            assert app.heard() == [
                "queued 0",
                "while it was dead",
                *numbered("queued", 10)[1:],
            ]
            assert await said_with(bob, alice) == ["one", *app.heard()]
            await app.call("open", {"with": id_of(bob)})
            await app.assert_in_step()
            assert not [*(tmp_path / "kept").glob("*outbox*")]


async def test_two_processes_with_one_storage_send_everything_once(
    sqlite_chat: RunningServer, network: CuttableProxy, tmp_path: Path
) -> None:
    kept = {"directory": str(tmp_path / "kept")}
    async with another_person(sqlite_chat) as bob, client_app(network.url, **kept) as app:
        alice = await app.register("Alice")
        await network.cut()
        for content in numbered("once", 10):
            await app.queue({"with": id_of(bob)}, content)
        async with client_app(network.url, **kept) as second:
            assert second.restored
            await network.heal()
            await second.call("connect")
            await app.hears("once 9")
            await second.hears("once 9")
            assert app.heard() == numbered("once", 10)
        assert await said_with(bob, alice) == numbered("once", 10)


def short_lived(token: str, seconds: float) -> str:
    """A token of the same session that ends so soon."""
    claims = jwt.decode(token, options={"verify_signature": False})
    now = int(time.time())
    return jwt.encode({**claims, "iat": now, "exp": now + seconds}, QUICK["jwt_secret"], "HS256")


async def test_a_token_is_renewed_before_it_ends_and_the_connection_goes_on(
    sqlite_chat: RunningServer,
) -> None:
    async with another_person(sqlite_chat) as bob:
        ann = await new_account(sqlite_chat, "Ann")
        async with client_app(sqlite_chat.url, tokens=[short_lived(ann.token, 4)]) as app:
            await app.call("connect")
            for number in range(6):
                await asyncio.sleep(1)
                await bob.send(f"hello {number}", str(ann.id))
            await app.hears("hello 5")
            assert app.heard() == numbered("hello", 6)
            statuses = [m["status"] for m in app.node.inbox if m["type"] == "status"]
            assert statuses == ["CONNECTING", "ONLINE"]


async def test_an_expired_token_is_replaced_where_the_app_can_bring_another(
    sqlite_chat: RunningServer, tmp_path: Path
) -> None:
    kept = {"directory": str(tmp_path / "kept")}
    async with another_person(sqlite_chat) as bob:
        ann = await new_account(sqlite_chat, "Ann")
        expired = short_lived(ann.token, -60)
        async with client_app(sqlite_chat.url, tokens=[expired, ann.token], **kept) as app:
            await app.call("connect")
            await bob.send("hello", str(ann.id))
            await app.hears("hello")
        # Nobody brings one: the app is told to show its login form.
        [session] = (tmp_path / "kept").glob("*session")
        session.write_text(json.dumps({**json.loads(session.read_text()), "token": expired}))
        async with client_app(sqlite_chat.url, **kept) as app:
            await app.node.send("call", method="connect", tag="connect")
            failed = await app.node.expect_type("failed", tag="connect")
            assert failed["code"] == "UNAUTHENTICATED"
            said = await app.node.expect_type("loggedOut")
            assert said["message"] == "The token is not good any more; log in again"
            await app.call("login", {"email": ann.email, "password": PASSWORD})
            await app.call("connect")
            await bob.send("again", str(ann.id))
            await app.hears("again")
            assert app.heard() == ["again"]


async def test_after_a_session_has_ended_the_outbox_waits_for_the_next_login(
    tmp_path: Path,
) -> None:
    with running_server(tmp_path) as server:
        async with client_app(server.url) as app, another_person(server) as bob:
            account = {"email": "ann@example.com", "password": "123456", "displayName": "Ann"}
            ann = (await app.call("register", account))["id"]
            await app.call("connect")
            [session] = await app.call("sessions")
            async with GraphQLFace.open(server, None) as phone:
                login = 'mutation { login(email: "ann@example.com", password: "123456") { token } }'
                token = (await phone.execute(login))["login"]["token"]
            await _revoke(server, token, session["id"])
            await app.node.expect_type("loggedOut", code="UNAUTHENTICATED")
            await app.queue({"with": id_of(bob)}, "written meanwhile")
            await app.call("login", {"email": account["email"], "password": account["password"]})
            await app.call("connect")
            await app.hears("written meanwhile")
            assert await said_with(bob, ann) == ["written meanwhile"]


async def _revoke(server: RunningServer, token: str, session: str) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        query = f'mutation {{ revokeSession(id: "{session}") }}'
        answer = await http.post(f"{server.url}/graphql", json={"query": query})
        assert answer.json()["data"]["revokeSession"] is True


async def test_a_cursor_that_is_too_old_loads_the_store_anew(
    sqlite_chat: RunningServer, network: CuttableProxy, tmp_path: Path
) -> None:
    directory = tmp_path / "kept"
    async with another_person(sqlite_chat) as bob:
        async with client_app(network.url, directory=str(directory)) as app:
            alice = await app.register("Alice")
            await bob.send("one", alice)
            await app.hears("one")
        [cursor] = directory.glob("*cursor")
        cursor.write_text(f'"{"0" * 12}-1"')
        await bob.send("two", alice)
        async with client_app(network.url, directory=str(directory)) as app:
            await app.call("connect")
            await app.node.expect_type("reset")
            await app.call("open", {"with": id_of(bob)})
            await bob.send("three", alice)
            await app.hears("three")
            kept = await app.assert_in_step()
    [thread] = kept["threads"]
    assert [message["content"] for message in thread["messages"]] == ["one", "two", "three"]


async def test_a_refused_message_stays_in_the_outbox_until_it_is_discarded(
    sqlite_chat: RunningServer,
) -> None:
    async with client_app(sqlite_chat.url) as app, another_person(sqlite_chat) as bob:
        alice = await app.register("Alice")
        target = {"with": id_of(bob)}
        await app.queue(target, "x" * 20_000)
        refused = await app.node.expect_type("refused")
        assert refused["item"]["error"]["code"] == "PAYLOAD_TOO_LARGE"
        await app.queue(target, "x" * 2_000_000)
        assert (await app.node.expect_type("refused"))["item"]["state"] == "FAILED"
        await app.queue(target, "goes on")
        await app.hears("goes on")
        await app.call("discard", refused["item"]["clientMessageId"])
        assert await said_with(bob, alice) == ["goes on"]


async def test_hundreds_of_messages_of_a_long_absence_come_once_and_in_order(
    sqlite_chat: RunningServer, network: CuttableProxy
) -> None:
    async with client_app(network.url) as app, another_person(sqlite_chat) as bob:
        alice = await app.register("Alice")
        await bob.send("hello", alice)
        await app.hears("hello")
        await app.call("open", {"with": id_of(bob)})
        await network.cut()
        for content in numbered("missed", 400):
            await bob.send(content, alice)
        await network.heal()
        await app.hears("missed 399")
        assert app.heard() == ["hello", *numbered("missed", 400)]
        # What is unread is counted to 100, and what is shown is all of it.
        kept = await app.assert_in_step()
        [conversation] = [each for each in kept["conversations"] if each["peer"]]
        assert conversation["unreadCount"] == 100
        [thread] = kept["threads"]
        assert len(thread["messages"]) == 401


async def test_without_a_websocket_connecting_says_what_is_missing() -> None:
    run = await run_node("parley_nowhere.mjs")
    assert run.code == 0, run.stderr
    [failed] = run.lines
    assert "pass one to Parley, as of the package ws" in failed["message"]
