"""HOST=unix:PATH: a proxy on the same machine connects to a file, and the three faces work."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import httpx
import msgspec
import pytest
from pydantic import ValidationError
from websockets.asyncio.client import unix_connect

from server.processes.listeners import bind, describe
from settings import Settings
from tests.faults.processes import Parley
from tests.support.mariadb import MariaDB
from tests.support.redis import redis_server

PEOPLE = {"email": "someone@example.com", "password": "123456", "displayName": "Someone"}
SOCKETIO = "/socket.io/?EIO=4&transport=polling"


class OnUnixSocket(Parley):
    """An instance that listens on a file alone."""

    @property
    def path(self) -> Path:
        """The socket's file."""
        return self.directory / "parley.sock"

    def command(self) -> list[str]:
        """The server's own command line, which names the file in place of an address."""
        words = super().command()
        words[words.index("--host") + 1] = f"unix:{self.path}"
        return words

    def answers(self) -> bool:
        """Whether the process serves on the file."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(self.path))
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                return b" 200 " in connection.recv(100)
        except OSError:
            return False


@asynccontextmanager
async def _client(path: Path, *addresses: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    headers = [("X-Forwarded-For", address) for address in addresses]
    async with httpx.AsyncClient(
        transport=transport, base_url="http://parley", headers=headers
    ) as http:
        yield http


async def _token(path: Path) -> str:
    async with _client(path) as http:
        await http.post("/api/auth/register", json=PEOPLE)
        return str((await http.post("/api/auth/login", json=PEOPLE)).json()["token"])


async def _hears_what_is_sent(path: Path) -> None:
    """REST sends; GraphQL over a WebSocket and Socket.IO hear it."""
    token = await _token(path)
    connecting = unix_connect(
        str(path), "ws://parley/graphql", subprotocols=["graphql-transport-ws"]
    )
    older = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(path)))
    async with connecting as graphql, older, _client(path) as http:
        await graphql.send(
            msgspec.json.encode({"type": "connection_init", "payload": {"token": token}}).decode()
        )
        assert msgspec.json.decode(await graphql.recv())["type"] == "connection_ack"
        query = {"query": "subscription { messageAdded { content } }"}
        await graphql.send(
            msgspec.json.encode({"type": "subscribe", "id": "1", "payload": query}).decode()
        )
        url = "http://parley/socket.io/?EIO=4&transport=websocket"
        async with older.ws_connect(url) as wire:
            await wire.send_str("40")
            await wire.send_str(f'42["auth:login",{{"token":"{token}"}}]')
            async for message in wire:
                if str(message.data).startswith('42["auth:ok"'):
                    break
            headers = {"Authorization": f"Bearer {token}"}
            sent = await http.post("/api/messages/send", json={"content": "hello"}, headers=headers)
            assert sent.status_code == 201
            heard = msgspec.json.decode(await graphql.recv())
            assert heard["payload"]["data"] == {"messageAdded": {"content": "hello"}}
            async for message in wire:
                if str(message.data).startswith('42["message:new"'):
                    break


async def test_one_process_serves_on_a_file(tmp_path: Path) -> None:
    parley = OnUnixSocket(tmp_path)
    parley.start()
    try:
        assert stat.S_IMODE(parley.path.stat().st_mode) == 0o660
        async with asyncio.timeout(30):
            await _hears_what_is_sent(parley.path)
        assert f"Listening on unix:{parley.path}" in parley.log.read_text()
        # Killed, it leaves the file; the next start takes its place.
        await asyncio.to_thread(parley.kill)
        await asyncio.to_thread(parley.start)
    finally:
        await asyncio.to_thread(parley.stop)
    assert parley.complaints() == []


async def test_workers_serve_on_a_file_and_keep_their_sessions(
    mariadb: MariaDB, tmp_path: Path
) -> None:
    with redis_server() as redis:
        parley = OnUnixSocket(
            tmp_path, workers=2, database_url=mariadb.url("unixsockets"), redis_url=redis.url
        )
        try:
            await asyncio.to_thread(parley.start)
            async with asyncio.timeout(30):
                await _hears_what_is_sent(parley.path)
                for _ in range(4):
                    async with _client(parley.path) as http:
                        opened = (await http.get(SOCKETIO)).text
                    session = msgspec.json.decode(opened[1:])["sid"]
                    await _post_in_halves(parley.path, f"{SOCKETIO}&sid={session}")
        finally:
            await asyncio.to_thread(parley.stop)
    assert parley.complaints() == []


async def _post_in_halves(path: Path, target: str) -> None:
    """A first line that comes in two pieces still reaches the worker that has the session."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(f"POST {target[:30]}".encode())
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(f"{target[30:]} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40".encode())
    assert b" 200 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_the_peer_counts_as_this_machine_unless_it_is_a_trusted_proxy(tmp_path: Path) -> None:
    rates = {"limits": "on", "logins_per_address": "5/300seconds", "failed_login_weight": 1}
    wrong = {"email": "nobody@example.com", "password": "wrong-password"}
    for trusted, expected in (("", 429), ("127.0.0.1", 400)):
        directory = tmp_path / (trusted or "nobody")
        directory.mkdir()
        parley = OnUnixSocket(directory, trusted_proxies=trusted, **rates)
        try:
            await asyncio.to_thread(parley.start)
            for number in range(6):
                async with _client(parley.path, f"203.0.113.{number}") as http:
                    answer = await http.post("/api/auth/login", json=wrong)
            assert answer.status_code == expected
        finally:
            await asyncio.to_thread(parley.kill)


def test_a_file_and_a_port_may_both_be_named(tmp_path: Path) -> None:
    file, port = bind(f"127.0.0.1, unix:{tmp_path}/s", 0, socket_mode=0o600)
    with file, port:
        assert describe(file) == f"unix:{tmp_path}/s"
        assert describe(port).startswith("127.0.0.1 port ")
        assert stat.S_IMODE(os.stat(tmp_path / "s").st_mode) == 0o600


def test_nothing_but_a_left_over_socket_is_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    with pytest.raises(OSError, match="a file that is no socket is there"):
        bind(f"unix:{precious}", 0)
    assert precious.read_text() == "kept"
    with pytest.raises(OSError, match=r"cannot listen on unix:.*No such file or directory"):
        bind(f"unix:{tmp_path}/missing/s", 0)
    with pytest.raises(OSError, match="AF_UNIX path too long"):
        bind(f"unix:{tmp_path}/{'s' * 120}", 0)


def test_a_socket_in_use_is_not_taken_away(tmp_path: Path) -> None:
    [first] = bind(f"unix:{tmp_path}/s", 0)
    with first:
        first.listen()
        with pytest.raises(OSError, match="Address already in use"):
            bind(f"unix:{tmp_path}/s", 0)


@pytest.mark.parametrize("written", ["666", "0600"])
def test_a_mode_is_octal(written: str) -> None:
    assert Settings(_env_file=None, socket_mode=written).socket_mode == int(written, 8)


@pytest.mark.parametrize("written", ["rw", "999", "7777", "-1"])
def test_what_is_no_mode_is_refused(written: str) -> None:
    with pytest.raises(ValidationError, match="must be an octal mode such as 660"):
        Settings(_env_file=None, socket_mode=written)
