"""Server-sent events: results of any operation, streams that end as they should, resumable."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from schema.transports.server_sent_events import EventStream
from tests.faults.waits import until
from tests.support.faces import Account, GraphQLFace, new_account
from tests.support.node import node_process
from tests.support.server import RunningServer, running_server

STREAM = "text/event-stream"
EVENTS = """subscription($after: String) { events(after: $after) {
  cursor ... on MessageSent { message { content } } } }"""
ADDED = "subscription { messageAdded { id content } }"
WAIT_SECONDS = 10


class ServerEvent(NamedTuple):
    """One event, as the HTML standard reads it."""

    name: str
    data: Any
    id: str | None = None


class Stream:
    """The events of one answer, and the comments between them."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.comments = 0
        self._lines = self._read_lines()

    async def _read_lines(self) -> AsyncIterator[str]:
        # httpx's own lines end at U+2028 too.
        rest = b""
        async for chunk in self.answer.aiter_bytes():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode()

    async def next(self) -> ServerEvent | None:
        """The next event; None at the end. Raises httpx's error where the answer is cut off."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(WAIT_SECONDS):
            async for line in self._lines:
                name, _, value = line.partition(":")
                if line and not name:
                    self.comments += 1
                elif line:
                    fields[name] = value.removeprefix(" ")
                elif fields:
                    data = fields["data"]
                    decoded = msgspec.json.decode(data) if data else None
                    return ServerEvent(fields["event"], decoded, fields.get("id"))
        return None

    async def to_the_end(self) -> None:
        """Read all there is."""
        while await self.next() is not None:
            pass


@asynccontextmanager
async def stream(
    server: RunningServer,
    query: str,
    variables: dict[str, Any] | None = None,
    *,
    account: Account | None = None,
    method: str = "POST",
    accept: str = STREAM,
    **headers: str,
) -> AsyncIterator[Stream]:
    """Ask for an operation's results as events."""
    headers = {"accept": accept, **{k.replace("_", "-"): v for k, v in headers.items()}}
    if account is not None:
        headers["authorization"] = f"Bearer {account.token}"
    body: dict[str, Any] = {"query": query, "variables": variables or {}}
    sent: dict[str, Any] = {"json": body}
    if method != "POST":
        sent = {"params": {"query": query, "variables": json.dumps(variables or {})}}
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=WAIT_SECONDS) as http,
        http.stream(method, "/graphql", headers=headers, **sent) as answer,
    ):
        yield Stream(answer)


def streams(server: RunningServer) -> list[EventStream]:
    return server.ctx.hub.transports(EventStream)


async def until_gone(server: RunningServer) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while streams(server):  # noqa: ASYNC110  # another thread's: nobody here could set an event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def sender(server: RunningServer, account: Account) -> AsyncIterator[GraphQLFace]:
    async with GraphQLFace.open(server, account) as face:
        yield face


COMPLETE = ServerEvent("complete", None)


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_query_is_one_result_and_its_end(sqlite_chat: RunningServer, method: str) -> None:
    account = await new_account(sqlite_chat)
    async with stream(sqlite_chat, "{ me { id } }", account=account, method=method) as found:
        assert found.answer.headers["content-type"].startswith(STREAM)
        assert found.answer.headers["cache-control"] == "no-store"
        data = {"data": {"me": {"id": str(account.id)}}}
        assert await found.next() == ServerEvent("next", data)
        assert await found.next() == COMPLETE
        assert await found.next() is None


async def test_a_mutation_is_told_in_the_same_way(sqlite_chat: RunningServer) -> None:
    account = await new_account(sqlite_chat)
    query = 'mutation { sendMessage(content: "x") { content } }'
    async with stream(sqlite_chat, query, account=account) as found:
        event = await found.next()
        assert event is not None
        assert event.data == {"data": {"sendMessage": {"content": "x"}}}
        assert await found.next() == COMPLETE


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ nothing }", "BAD_USER_INPUT"),
        ("{", "BAD_USER_INPUT"),
        ("{ me { id } }", "UNAUTHENTICATED"),
        (EVENTS, "UNAUTHENTICATED"),
        (ADDED, "UNAUTHENTICATED"),
    ],
)
async def test_what_cannot_be_executed_is_told_in_an_event(
    sqlite_chat: RunningServer, query: str, code: str
) -> None:
    async with stream(sqlite_chat, query, authorization="Bearer x") as found:
        assert found.answer.status_code == 200
        event = await found.next()
        assert event is not None
        assert event.name == "next"
        assert event.data["errors"][0]["extensions"]["code"] == code
        assert await found.next() == COMPLETE
    await until_gone(sqlite_chat)


async def test_what_is_no_graphql_request_has_its_status(sqlite_chat: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=sqlite_chat.url, headers={"accept": STREAM}) as http:
        wrong = await http.post("/graphql", content=b"{", headers={"content-type": "text/plain"})
        assert wrong.status_code == 415
        assert (await http.post("/graphql", json={})).status_code == 400
        mutation = {"query": 'mutation { sendMessage(content: "x") { id } }'}
        assert (await http.get("/graphql", params=mutation)).status_code == 405
        assert (await http.head("/graphql", params={"query": ADDED})).status_code == 400


async def test_events_go_on_live_and_each_carries_where_it_is(sqlite_chat: RunningServer) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    async with (
        sender(sqlite_chat, alice) as face,
        stream(sqlite_chat, EVENTS, account=bob) as all_,
        stream(sqlite_chat, ADDED, account=bob, method="GET") as added,
    ):
        sent = [await face.send(content, bob.id) for content in ("one", "two\nlines\r\u2028")]
        for message in sent:
            event, other = await all_.next(), await added.next()
            assert event is not None
            assert other is not None
            shown = event.data["data"]["events"]
            assert shown["message"]["content"] == message.content
            assert event.id == shown["cursor"]
            assert other.id == other.data["data"]["messageAdded"]["id"] == str(message.id)
    await until_gone(sqlite_chat)


@pytest.mark.parametrize(
    "query", [EVENTS, ADDED, EVENTS.replace("cursor", "cursor @skip(if: false)")]
)
async def test_last_event_id_resumes_in_place_of_after(
    sqlite_chat: RunningServer, query: str
) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    async with sender(sqlite_chat, alice) as face:
        async with stream(sqlite_chat, query, account=bob) as first:
            await face.send("seen", bob.id)
            seen = await first.next()
            assert seen is not None
            assert seen.id is not None
        for content in ("missed", "too"):
            await face.send(content, bob.id)
        after = {"after": "no cursor"} if "$after" in query else {}
        async with stream(sqlite_chat, query, after, account=bob, last_event_id=seen.id) as resumed:
            for content in ("missed", "too"):
                event = await resumed.next()
                assert event is not None
                [shown] = event.data["data"].values()
                assert shown.get("message", shown)["content"] == content


@pytest.mark.parametrize("wrong", ["x", "0" * 12 + "-1", "9" * 999])
async def test_a_wrong_last_event_id_is_an_error(sqlite_chat: RunningServer, wrong: str) -> None:
    bob = await new_account(sqlite_chat)
    async with stream(sqlite_chat, EVENTS, account=bob, last_event_id=wrong) as found:
        event = await found.next()
        assert event is not None
        code = "CURSOR_EXPIRED" if "-" in wrong else "BAD_USER_INPUT"
        assert event.data["errors"][0]["extensions"]["code"] == code
        assert await found.next() == COMPLETE


async def test_a_sessions_end_is_told_and_ends_the_stream(sqlite_chat: RunningServer) -> None:
    bob = await new_account(sqlite_chat)
    async with stream(sqlite_chat, EVENTS, account=bob) as found:
        async with stream(sqlite_chat, "mutation { logout }", account=bob) as ending:
            assert await ending.next() == ServerEvent("next", {"data": {"logout": True}})
        event = await found.next()
        assert event is not None
        assert event.data["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert await found.next() == COMPLETE
    await until_gone(sqlite_chat)


async def test_a_stream_is_an_open_connection_of_its_user(tmp_path: Path) -> None:
    limits = {"limits": True, "max_connections_per_user": 2}
    with running_server(tmp_path, **limits) as server:
        alice, bob = await new_account(server), await new_account(server)
        online = f'{{ user(id: "{bob.id}") {{ online }} }}'

        async def is_online() -> bool:
            async with stream(server, online, account=alice) as found:
                event = await found.next()
                assert event is not None
                return bool(event.data["data"]["user"]["online"])

        async with stream(server, EVENTS, account=bob), stream(server, ADDED, account=bob):
            assert await is_online()
            async with stream(server, EVENTS, account=bob) as third:
                assert third.answer.status_code == 429
                assert int(third.answer.headers["retry-after"]) > 0
        await until_gone(server)
        async with stream(server, EVENTS, account=bob) as again:
            assert again.answer.status_code == 200


async def test_a_silent_stream_is_kept_open_by_comments(tmp_path: Path) -> None:
    with running_server(tmp_path, ping_interval_seconds=0.2) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with sender(server, alice) as face, stream(server, EVENTS, account=bob) as found:
            began = time.monotonic()
            reading = asyncio.create_task(found.next())
            await until(lambda: found.comments == 3, 30)
            await face.send("at last", bob.id)
            assert await reading is not None
            # No more often than told; one may have been on its way.
            assert 2 <= found.comments - 1 <= (time.monotonic() - began) / 0.2


async def test_a_server_that_stops_cuts_streams_off_at_once(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        bob = await new_account(server)
        async with stream(server, EVENTS, account=bob) as found:
            server.server.should_exit = True
            with pytest.raises(httpx.RemoteProtocolError):
                await found.to_the_end()


async def test_a_reader_that_stops_is_cut_off_and_slows_nobody(tmp_path: Path) -> None:
    narrow = {"max_queued_messages": 20, "ping_interval_seconds": 1, "ping_timeout_seconds": 1}
    with running_server(tmp_path, **narrow) as server:
        alice, bob = await new_account(server), await new_account(server)
        async with sender(server, alice) as face, stream(server, ADDED, account=bob) as found:
            content = "x" * 16_000
            for _ in range(40):
                await asyncio.gather(*(face.send(content, bob.id) for _ in range(10)))
                if not streams(server):
                    break
            await until_gone(server)
            with pytest.raises(httpx.HTTPError):
                await found.to_the_end()


APOLLO = (
    "multipart/mixed;deferSpec=20220824,application/graphql-response+json,application/json;q=0.9"
)
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json,"
    " text/event-stream, multipart/mixed"
)


@pytest.mark.parametrize(
    "accept",
    [
        APOLLO,
        URQL,
        "application/json, text/event-stream",
        "text/event-stream, application/json",
        "text/event-stream;q=0.5, */*;q=0.5",
        "*/*",
    ],
)
async def test_a_query_is_answered_in_json_where_json_is_accepted(
    sqlite_chat: RunningServer, accept: str
) -> None:
    account = await new_account(sqlite_chat)
    async with stream(sqlite_chat, "{ me { id } }", account=account, accept=accept) as found:
        assert "json" in found.answer.headers["content-type"]
        body = msgspec.json.decode(await found.answer.aread())
        assert body == {"data": {"me": {"id": str(account.id)}}}


@pytest.mark.parametrize("accept", [APOLLO, "*/*", "application/json", ""])
async def test_a_subscription_needs_a_client_that_names_event_streams(
    sqlite_chat: RunningServer, accept: str
) -> None:
    account = await new_account(sqlite_chat)
    async with stream(sqlite_chat, ADDED, account=account, accept=accept) as found:
        assert found.answer.status_code == 400
        assert STREAM in (await found.answer.aread()).decode()


async def test_graphql_sse_listens_resumes_and_is_told_of_errors(tmp_path: Path) -> None:
    with running_server(tmp_path, max_queued_messages=50) as server:
        alice, bob = await new_account(server), await new_account(server)
        options = {"headers": {"authorization": f"Bearer {bob.token}"}, "retryMs": 100}
        url = f"{server.url}/graphql"
        async with (
            sender(server, alice) as face,
            node_process("graphql_sse_client.mjs", url, options) as client,
        ):
            await client.send("subscribe", id="q", query="{ me { id } }")
            result = await client.expect_type("next", id="q")
            assert result["payload"] == {"data": {"me": {"id": str(bob.id)}}}
            await client.expect_type("complete", id="q")
            await client.send("subscribe", id="wrong", query="{ nothing }")
            refused = await client.expect_type("next", id="wrong")
            assert refused["payload"]["errors"]
            await client.send("subscribe", id="e", query=EVENTS, variables={}, resume=True)
            await client.expect_type("connected", id="e")
            for number in range(5):
                await face.send(f"{number}", bob.id)
                heard = await client.expect_type("next", id="e")
                assert heard["payload"]["data"]["events"]["message"]["content"] == f"{number}"
                [open_stream] = streams(server)
                open_stream.drain()  # as a server does that stops
                await client.expect_type("connected", id="e")
            await client.send("unsubscribe", id="e")
            await until_gone(server)


async def test_urql_as_it_comes_gets_json_and_subscribes_over_fetch(
    sqlite_chat: RunningServer,
) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    options = {"headers": {"authorization": f"Bearer {bob.token}"}}
    async with (
        sender(sqlite_chat, alice) as face,
        node_process("urql_client.mjs", f"{sqlite_chat.url}/graphql", options) as client,
    ):
        await client.send("query", id="q", query="{ me { id } }")
        assert "text/event-stream" in (await client.expect_type("accept"))["value"]
        result = await client.expect_type("result", id="q")
        assert (result["data"], result["error"]) == ({"me": {"id": str(bob.id)}}, None)
        send = 'mutation { sendMessage(content: "by urql") { content } }'
        await client.send("mutate", id="m", query=send)
        result = await client.expect_type("result", id="m")
        assert result["data"] == {"sendMessage": {"content": "by urql"}}
        await client.send("subscribe", id="s", query=ADDED)
        async with asyncio.timeout(WAIT_SECONDS):
            while not streams(sqlite_chat):  # noqa: ASYNC110  # another thread's
                await asyncio.sleep(0.01)
        for content in ("one", "two"):
            await face.send(content, bob.id)
            heard = await client.expect_type("next", id="s")
            assert heard["data"]["messageAdded"]["content"] == content
