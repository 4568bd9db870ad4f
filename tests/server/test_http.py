"""Peers that stop in the middle of a request, or of reading its answer, on raw sockets."""

import asyncio
import json
import logging
import select
import socket
from pathlib import Path

import pytest

from server.protocols import patience
from server.protocols.progress import TransferLimits
from tests.compat.test_rest_trouble import long_history
from tests.server.raw_http import HANDSHAKE, RawConnection, new_session
from tests.support.faces import Account, new_account
from tests.support.server import QUICK, RunningServer, running_server
from tests.support.sqlite import outsider as opened_by_outsider

LARGE = 16_000
WAIT_SECONDS = 10.0
HUNG_UP = select.POLLRDHUP | select.POLLHUP | select.POLLERR
BEGINNINGS = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "half the headers": b"GET /health HTTP/1.1\r\nHost:",
    "half a body": b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{",
    "half a chunk": b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nff\r\n{",
}


@pytest.fixture
def short(sqlite_chat: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server, or one of the test's own, wait for little."""
    protocol = sqlite_chat.server.config.http_protocol_class
    monkeypatch.setattr(sqlite_chat.server.config, "timeout_keep_alive", 1)
    monkeypatch.setattr(protocol, "head_seconds", 0.3)
    monkeypatch.setattr(protocol, "body_limits", TransferLimits(0.4))
    monkeypatch.setitem(QUICK, "request_head_seconds", 0.3)
    monkeypatch.setitem(QUICK, "request_body_seconds", 0.4)
    monkeypatch.setattr(patience, "ANSWERED_BODY_SECONDS", 0.6)


async def large_history(directory: Path, messages: int) -> None:
    """Make a server's database with so many large messages."""
    await long_history(directory, messages)
    with opened_by_outsider(directory / "parley.db") as outsider:
        outsider.execute("UPDATE messages SET content = ?", ["x" * LARGE])


def request_history(server: RunningServer, account: Account) -> socket.socket:
    """Ask for all of it, on a connection that takes in little by itself."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    peer.settimeout(WAIT_SECONDS)
    peer.connect(("127.0.0.1", server.settings.port))
    token = account.token
    peer.sendall(
        f"GET /api/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    return peer


async def hangs_up(peer: socket.socket) -> bool:
    """Whether the server ends the connection, of which nothing is read."""
    poll = select.poll()
    poll.register(peer, HUNG_UP)
    return bool(await asyncio.to_thread(poll.poll, WAIT_SECONDS * 1000))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("start", BEGINNINGS.values(), ids=BEGINNINGS)
@pytest.mark.parametrize("kept_alive", [False, True], ids=["new", "kept alive"])
async def test_who_does_not_finish_a_request_is_cut_off(
    sqlite_chat: RunningServer, start: bytes, kept_alive: bool
) -> None:
    async with RawConnection(sqlite_chat.settings.port) as connection:
        if kept_alive:
            assert (await connection.ask("GET", "/health")).status == 200
        await connection.send(start)
        if start.strip():  # a request has begun
            answer = await connection.answer()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert "took too long" in json.loads(answer.body)["message"]
        assert await connection.ended()


@pytest.mark.usefixtures("short")
async def test_who_goes_on_is_not_cut_off(sqlite_chat: RunningServer) -> None:
    body = b'{"email": "nobody@example.com"}'
    async with RawConnection(sqlite_chat.settings.port) as connection:
        await connection.send(
            b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        for byte in body:  # well past the limit, and never still for as long
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.05)
        assert (await connection.answer()).status == 400


REFUSED = b"POST /api/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"


@pytest.mark.usefixtures("short")
async def test_a_body_that_goes_on_for_ever_after_its_answer_is_cut_off(
    sqlite_chat: RunningServer,
) -> None:
    async with RawConnection(sqlite_chat.settings.port) as connection:
        await connection.send(REFUSED.replace(b"500", b"9999999999"))
        assert (await connection.answer()).status == 401
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_without_end(connection), WAIT_SECONDS)


async def send_without_end(connection: RawConnection) -> None:
    """Send more and more, and never be still for long."""
    while True:
        await connection.send(b"x" * 1000)
        await asyncio.sleep(0.05)


@pytest.mark.usefixtures("short")
async def test_a_body_that_ends_after_its_answer_costs_the_connection_nothing(
    sqlite_chat: RunningServer,
) -> None:
    async with RawConnection(sqlite_chat.settings.port) as connection:
        for _ in range(3):
            await connection.send(REFUSED)
            assert (await connection.answer()).status == 401
            await connection.send(b"x" * 500)
            # Longer than an answered body may take, if it had not ended.
            for _ in range(8):
                await asyncio.sleep(0.1)
                assert (await connection.ask("GET", "/health")).status == 200


async def stays_open(connection: RawConnection) -> bool:
    """Whether nothing comes, not even the end, for longer than every limit."""
    try:
        async with asyncio.timeout(1.5):
            await connection._reader.read(1)
    except TimeoutError:
        return True
    return False


@pytest.mark.usefixtures("short")
async def test_a_waiting_poll_is_not_cut_off(sqlite_chat: RunningServer) -> None:
    port = sqlite_chat.settings.port
    sid = await new_session(port)
    async with RawConnection(port) as connection:
        await connection.send(f"GET {HANDSHAKE}&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert await stays_open(connection)


@pytest.mark.usefixtures("short")
async def test_an_upgraded_connection_has_no_limits_of_http(sqlite_chat: RunningServer) -> None:
    async with RawConnection(sqlite_chat.settings.port) as connection:
        await connection.send(
            b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert (await connection.answer()).status == 101
        assert await stays_open(connection)


async def test_who_stops_reading_is_cut_off_and_costs_little(tmp_path: Path) -> None:
    await large_history(tmp_path, 600)
    with running_server(  # noqa: SIM117  # the account needs the server
        tmp_path,
        broadcast_history="everything",
        ping_interval_seconds=0.3,
        ping_timeout_seconds=0.3,
    ) as server:
        with request_history(server, await new_account(server)) as peer:
            assert await hangs_up(peer)


async def test_who_reads_slowly_gets_all_in_small_chunks(tmp_path: Path) -> None:
    await large_history(tmp_path, 600)
    with running_server(  # noqa: SIM117  # the account needs the server
        tmp_path,
        broadcast_history="everything",
        ping_interval_seconds=0.2,
        ping_timeout_seconds=0.2,
    ) as server:
        with request_history(server, await new_account(server)) as peer:
            with peer.makefile("rb", buffering=0) as raw:
                taken = b""
                for _ in range(40):  # megabytes wait in the kernel for most of it
                    taken += await asyncio.to_thread(raw.read, 40_000) or b""
                    await asyncio.sleep(0.05)
            with peer.makefile("rb") as rest:
                taken += await asyncio.to_thread(read_to_end, rest)
    sizes, rows = [], b""
    left = taken.partition(b"\r\n\r\n")[2]
    while left:
        size, _, left = left.partition(b"\r\n")
        sizes.append(int(size, 16))
        rows, left = rows + left[: sizes[-1]], left[sizes[-1] + 2 :]
    assert max(sizes) <= 64 * 1024
    assert rows.count(b'"content":"' + b"x" * LARGE) == 600
    assert rows.startswith(b"[{")
    assert rows.endswith(b"}]")


def read_to_end(rest: object) -> bytes:
    """Read up to the last chunk of a body."""
    taken = b""
    while not taken.endswith(b"\r\n0\r\n\r\n"):
        taken += (more := rest.read1())  # type: ignore[attr-defined]  # a BufferedReader
        assert more, "the body was cut"
    return taken


async def test_a_database_that_fails_in_the_middle_is_one_line_and_a_cut(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await large_history(tmp_path, 800)
    with running_server(tmp_path, broadcast_history="everything") as server:  # noqa: SIM117  # the account needs the server
        with request_history(server, await new_account(server)) as peer:
            assert (await asyncio.to_thread(peer.recv, 15)) == b"HTTP/1.1 200 OK"
            with opened_by_outsider(tmp_path / "parley.db") as outsider:
                outsider.execute("ALTER TABLE messages RENAME TO gone")
            cut = pytest.raises((ConnectionResetError, AssertionError))
            with peer.makefile("rb") as rest, cut:
                await asyncio.to_thread(read_to_end, rest)
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    # The feed may look at the log meanwhile, and tells of the same outage.
    said = [record for record in said if record.name not in {"parley.db", "parley.feed"}]
    assert [record.name for record in said] == ["parley.compat"]
    assert "cut off" in said[0].message
    assert said[0].exc_info is None


async def test_who_leaves_with_a_request_behind_the_one_being_answered_is_missed_at_once(
    sqlite_chat: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    port = sqlite_chat.settings.port
    sid = await new_session(port)
    async with RawConnection(port) as connection:
        poll = f"GET {HANDSHAKE}&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n"
        await connection.send(f"{poll}GET /health HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert await stays_open(connection)
    await asyncio.sleep(0.1)
    async with RawConnection(port) as connection:
        answer = await connection.ask("GET", f"{HANDSHAKE}&sid={sid}")
    assert "Session ID unknown" in answer.body, "the poll was still waiting"
    assert "ERROR" not in caplog.text


async def test_a_broken_body_behind_an_expectation_is_refused_once(
    sqlite_chat: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    head = "POST /graphql HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with RawConnection(sqlite_chat.settings.port) as connection:
        await connection.send(f"{head}no size\r\n".encode())
        answer = await connection.answer()
    assert answer.status == 400
    async with RawConnection(sqlite_chat.settings.port) as connection:
        assert (await connection.ask("GET", "/health")).status == 200
    assert "ERROR" not in [record.levelname for record in caplog.records]
