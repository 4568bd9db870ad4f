"""Other people's clients under Node: graphql-ws, and the older documents' own script."""

import asyncio
import sys
import time
from pathlib import Path

import httpx
import jwt

import main
from tests.support.daemon import Daemon
from tests.support.faces import RestFace, new_account
from tests.support.node import node_process, run_node
from tests.support.server import QUICK, RunningServer

LISTEN = "subscription($after: ID) { messageAdded(after: $after) { id content } }"
SEND = "mutation($c: String, $to: ID) { sendMessage(content: $c, receiverId: $to) { content } }"
REGISTER = """
mutation { register(email: "a@example.com", password: "123456", displayName: "A") { token } }"""
RESTART_SECONDS = 20


class Parley(Daemon):
    """The server as a user starts it, with its data in the directory."""

    def command(self) -> list[str]:
        """The command line."""
        program = str(Path(main.__file__).resolve())
        return [sys.executable, program, "serve", "--host", self.host, "--port", str(self.port)]

    def answers(self) -> bool:
        """Whether it is ready."""
        try:
            return httpx.get(f"{self.url}/ready").is_success
        except httpx.TransportError:
            return False

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{self.host}:{self.port}"

    def graphql(self, query: str, token: str = "", **variables: object) -> dict[str, object]:
        """Run an operation over HTTP."""
        body = {"query": query, "variables": variables}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = httpx.post(f"{self.url}/graphql", json=body, headers=headers).json()
        assert "errors" not in answer, answer
        [data] = answer["data"].values()
        assert isinstance(data, dict)
        return data


async def test_graphql_ws_listens_and_sends_and_stops_listening(sqlite_chat: RunningServer) -> None:
    alice, bob = await new_account(sqlite_chat), await new_account(sqlite_chat)
    options = {"connectionParams": {"authorization": f"Bearer {bob.token}"}}
    async with (
        RestFace.open(sqlite_chat, alice) as sender,
        node_process("graphql_ws_client.mjs", sqlite_chat.ws_url, options) as client,
    ):
        await client.expect_type("connected")
        await client.send("subscribe", id="a", query=LISTEN)
        await client.send("execute", id="q", query="{ me { id } }")
        result = await client.expect_type("result", id="q")
        assert result["payload"] == {"data": {"me": {"id": str(bob.id)}}}
        sent = await sender.send("hello 🎉", bob.id)
        heard = await client.expect_type("next", id="a")
        expected = {"id": str(sent.id), "content": "hello 🎉"}
        assert heard["payload"] == {"data": {"messageAdded": expected}}
        await client.send("unsubscribe", id="a")
        await client.send("execute", id="s", query=SEND, variables={"c": "back", "to": alice.id})
        result = await client.expect_type("result", id="s")
        assert result["payload"]["data"]["sendMessage"] == {"content": "back"}
        await client.send("execute", id="bad", query="{ nobody }")
        [error] = (await client.expect_type("error", id="bad"))["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        await client.send("execute", id="last", query="{ me { id } }")
        await client.expect_type("result", id="last")
        assert [message for message in client.inbox if message.get("id") == "a"] == []
        await client.send("close")
        assert (await client.expect_type("closed"))["code"] == 1000


async def test_graphql_ws_reports_a_bad_token(sqlite_chat: RunningServer) -> None:
    options = {"connectionParams": {"token": "not-a-token"}}
    async with node_process("graphql_ws_client.mjs", sqlite_chat.ws_url, options) as client:
        closed = await client.expect_type("closed")
        assert (closed["code"], closed["reason"]) == (4403, "Forbidden")
        assert (await client.expect_type("fatal"))["close"]["code"] == 4403


async def test_graphql_ws_sees_the_warning_and_takes_a_logout_for_the_end(
    sqlite_chat: RunningServer,
) -> None:
    alice = await new_account(sqlite_chat)
    claims = {"id": alice.id, "exp": time.time() + 30}
    token = jwt.encode(claims, QUICK["jwt_secret"], algorithm="HS256")
    options = {"connectionParams": {"token": token}, "retryAttempts": 5}
    async with node_process("graphql_ws_client.mjs", sqlite_chat.ws_url, options) as client:
        await client.expect_type("connected")
        await client.send("subscribe", id="a", query=LISTEN)
        warning = await client.expect_type("ping", received=True)
        assert warning["payload"]["type"] == "token_expiring"
        await client.send("execute", id="r", query="mutation { renewToken { expiresAt } }")
        renewed = (await client.expect_type("result", id="r"))["payload"]["data"]["renewToken"]
        assert renewed["expiresAt"] > warning["payload"]["expiresAt"]
        await client.send("execute", id="o", query="mutation { logout }")
        assert (await client.expect_type("result", id="o"))["payload"]["data"] == {"logout": True}
        closed = await client.expect_type("closed")
        assert (closed["code"], closed["reason"]) == (4401, "Session ended")
        assert (await client.expect_type("fatal"))["close"]["code"] == 4401  # it does not retry


async def test_graphql_ws_comes_back_by_itself_after_a_restart(tmp_path: Path) -> None:
    server = Parley(tmp_path)
    try:
        await asyncio.to_thread(server.start)
        token = str(server.graphql(REGISTER)["token"])
        first = server.graphql('mutation { sendMessage(content: "first") { id } }', token)["id"]
        options = {"connectionParams": {"token": token}, "retryAttempts": 20}
        url = f"ws{server.url[4:]}/graphql"
        async with node_process("graphql_ws_client.mjs", url, options) as client:
            await client.expect_type("connected")
            await client.send("subscribe", id="a", query=LISTEN, variables={"after": first})
            server.graphql('mutation { sendMessage(content: "second") { id } }', token)
            heard = await client.expect_type("next", id="a")
            assert heard["payload"]["data"]["messageAdded"]["content"] == "second"
            await asyncio.to_thread(server.stop)
            closed = await client.expect_type("closed")
            assert (closed["code"], closed["wasClean"]) == (1012, True)
            await asyncio.to_thread(server.start)
            server.graphql('mutation { sendMessage(content: "third") { id } }', token)
            await client.expect_type("connected", timeout=RESTART_SECONDS)
            contents = []
            for _ in range(2):
                heard = await client.expect_type("next", id="a")
                contents.append(heard["payload"]["data"]["messageAdded"]["content"])
            assert contents == ["second", "third"]
    finally:
        await asyncio.to_thread(server.stop)


async def test_the_older_documents_script_finds_all_as_documented(chat: RunningServer) -> None:
    run = await run_node("documented_client.mjs", chat.url)
    assert run.lines[-1] == {"type": "end", "differences": []}, run
    assert run.code == 0
    assert len([line for line in run.lines if line["type"] == "ok"]) >= 10
