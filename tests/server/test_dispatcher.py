"""The dispatcher: each connection to the right worker, whole, at once, and nothing left behind."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from server.processes import dispatcher
from server.processes.dispatcher import Dispatcher
from tests.faults.waits import until
from tests.support.inbox import Inbox

A_POLL = b"GET /socket.io/?EIO=4&transport=polling&sid=%s.x-Y_9 HTTP/1.1\r\nHost: x\r\n\r\n"
WHOLE = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


class Place:
    """A worker's end of its channel: takes connections, unless it is busy."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.channel, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.taken: Inbox[socket.socket] = Inbox()
        self._all: list[socket.socket] = []
        for end in (self.channel, self._theirs):
            end.setblocking(False)
        self.work()

    def work(self) -> None:
        """Take connections."""
        asyncio.get_running_loop().add_reader(self._theirs, self._take)

    def rest(self) -> None:
        """Take none for now."""
        if self._theirs.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._theirs)

    def _take(self) -> None:
        _, descriptors, _, _ = socket.recv_fds(self._theirs, 1, 1)
        for descriptor in descriptors:
            self._all.append(socket.socket(fileno=descriptor))
            self.taken.put(self._all[-1])

    async def take(self, number: int = 1, seconds: float = 10) -> list[socket.socket]:
        """Wait until so many have come; forget them."""
        came = await self.taken.expect_many(lambda _: True, number, seconds)
        self.taken.items.clear()
        return came

    def die(self) -> None:
        """Let go of the channel."""
        self.rest()
        self._theirs.close()

    def close(self) -> None:
        """End, with all that was taken."""
        self.rest()
        for end in (self.channel, self._theirs):
            end.close()
        self.drop()

    def drop(self) -> None:
        """Close all that was taken."""
        for connection in self._all:
            connection.close()
        self._all.clear()
        self.taken.items.clear()


class House:
    """A dispatcher, its places, and clients of it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.address = self.listener.getsockname()
        self.places = [Place("0"), Place("1"), Place("b-2")]
        self.turn = 0
        self.asked: list[str | None] = []
        self.dispatcher = Dispatcher([self.listener], self.choose)
        self.dispatcher.start()
        self.clients: list[socket.socket] = []

    def choose(self, name: str | None) -> socket.socket | None:
        """As the supervisor does."""
        self.asked.append(name)
        for place in self.places:
            if place.name == name:
                return place.channel
        self.turn += 1
        return self.places[self.turn % len(self.places)].channel if self.places else None

    async def client(self, *first: bytes) -> socket.socket:
        """Connect, and send this."""
        client = socket.socket()
        client.setblocking(False)
        self.clients.append(client)
        await asyncio.get_running_loop().sock_connect(client, self.address)
        for part in first:
            client.send(part)
        return client

    async def total(self, number: int, seconds: float = 10) -> list[socket.socket]:
        """Wait until the places have taken so many together."""
        await until(lambda: sum(len(place.taken.items) for place in self.places) >= number, seconds)
        return [taken for place in self.places for taken in place.taken.items]


@asynccontextmanager
async def _house() -> AsyncIterator[House]:
    house = House()
    try:
        yield house
    finally:
        if house.listener.fileno() >= 0:
            house.dispatcher.close()
        for place in house.places:
            place.close()
        for client in house.clients:
            client.close()


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _read(connection: socket.socket) -> bytes:
    connection.setblocking(False)
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 65536), 5)


async def test_a_session_goes_to_its_worker_with_every_byte_still_to_be_read() -> None:
    async with _house() as house:
        for place in house.places * 2:
            request = A_POLL % place.name.encode()
            client = await house.client(request)
            [taken] = await place.take()
            assert await _read(taken) == request
            assert taken.getpeername() == client.getsockname()
        assert house.turn == 0


@pytest.mark.parametrize(
    "line",
    [
        b"POST /socket.io/?sid=1.abc&EIO=4 HTTP/1.1\r\n",
        b"GET /socket.io/?EIO=4&transport=websocket&sid=1.abc HTTP/1.1\r\n",
        b"GET /somewhere?sid=1.abc HTTP/1.0\r\n",
    ],
)
async def test_wherever_the_session_stands_in_the_line_it_is_found(line: bytes) -> None:
    async with _house() as house:
        await house.client(line)
        await house.places[1].take()
        assert house.asked == ["1"]


@pytest.mark.parametrize(
    "start",
    [
        WHOLE,
        b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n",
        b"GET /socket.io/?sid=nodot HTTP/1.1\r\n",
        b"GET /socket.io/?asid=1.abc HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nReferer: /?sid=1.abc\r\n",
        b"GET /?sid=\xff.abc HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"\r\n",
        b"x" * dispatcher.PEEKED_BYTES,
    ],
)
async def test_what_names_no_session_goes_to_the_next_in_turn(start: bytes) -> None:
    async with _house() as house:
        for _ in range(6):
            await house.client(start)
        for taken in await house.total(6):
            assert await _read(taken) == start
        assert house.asked == [None] * 6
        assert [len(place.taken.items) for place in house.places] == [2, 2, 2]


async def test_a_line_that_comes_in_pieces_is_waited_for() -> None:
    async with _house() as house:
        request = A_POLL % b"1"
        client = await house.client()
        for byte in request[:-1]:
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        client.send(request[-1:])
        [taken] = await house.places[1].take()
        async with asyncio.timeout(5):
            read = b""
            while len(read) < len(request):
                read += await _read(taken)
        assert read == request
        # What is handed on wakes its reader at the first byte, whatever was waited for before.
        client.send(b"x")
        assert await _read(taken) == b"x"
        assert house.asked == ["1"]


async def test_the_slow_and_the_silent_are_handed_on_in_time_and_hold_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher, "PATIENCE_SECONDS", 1.0)
    async with _house() as house:
        slow = [await house.client(b"GET /so") for _ in range(300)]
        silent = [await house.client() for _ in range(100)]
        await asyncio.sleep(0.1)
        began, spent = time.monotonic(), time.process_time()
        await house.client(WHOLE)
        await house.total(1)
        assert time.monotonic() - began < 0.3
        for place in house.places:
            place.taken.items.clear()
        await asyncio.sleep(0.5)
        # They wait for bytes, not on a clock: 300 of them looked at 50 times a second take more.
        assert time.process_time() - spent < 0.25
        taken = await house.total(400, seconds=3)
        assert len(taken) == len(slow) + len(silent)
        assert not house.dispatcher._undecided
        # The rest of the line reaches the worker.
        by_peer = {connection.getpeername(): connection for connection in taken}
        slow[0].send(b"cket.io HTTP/1.1\r\n")
        there = by_peer[slow[0].getsockname()]
        read = await _read(there)
        while len(read) < 25:
            read += await _read(there)
        assert read == b"GET /socket.io HTTP/1.1\r\n"


async def test_of_one_address_so_many_are_looked_at_and_the_rest_go_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_UNDECIDED_OF_ADDRESS", 5)
    async with _house() as house:
        for _ in range(20):
            await house.client()
        assert len(await house.total(15, seconds=2)) == 15
        assert len(house.dispatcher._undecided) == 5
        assert house.dispatcher._addresses["127.0.0.1"] == 5


async def test_half_a_line_and_then_the_end_does_not_spin() -> None:
    async with _house() as house:
        client = await house.client(b"GET /so")
        await asyncio.sleep(0.05)
        client.shutdown(socket.SHUT_WR)
        [taken] = await house.total(1, seconds=2)
        assert await _read(taken) == b"GET /so"
        assert await _read(taken) == b""


async def test_connections_opened_and_dropped_leave_nothing() -> None:
    async with _house() as house:
        before = _files()
        for start in (b"", b"GET /half", WHOLE):
            for _ in range(10):
                for _ in range(100):
                    client = await house.client(start)
                    client.close()
                house.clients.clear()
                # A second end: what the kernel still holds of the round has been accepted.
                await house.client(A_POLL % b"b-2")
                await until(lambda: house.asked[-1:] == ["b-2"], 5)
                house.asked.clear()
                house.clients.pop().close()
                for place in house.places:
                    place.drop()
        await until(lambda: not house.dispatcher._undecided, 5)
        await asyncio.sleep(0.05)
        for place in house.places:
            place.drop()
        assert _files() <= before + 3


async def test_a_client_that_resets_before_its_line_is_forgotten() -> None:
    async with _house() as house:
        for _ in range(50):
            client = await house.client()
            client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
            client.close()
        await house.client(WHOLE)
        await until(lambda: bool(house.asked and not house.dispatcher._undecided), 2)


async def test_a_busy_worker_gets_its_connections_when_it_has_time() -> None:
    async with _house() as house:
        place = house.places[1]
        place.rest()
        number = 700  # more than the channel holds
        for _ in range(number):
            await house.client(A_POLL % b"1")
        await asyncio.sleep(0.2)
        assert house.dispatcher._undecided
        place.work()
        assert len(await place.take(number)) == number
        assert set(house.asked) == {"1"}


async def test_a_hung_worker_does_not_keep_new_clients_from_the_others() -> None:
    async with _house() as house:
        house.places[1].rest()
        number = 1500
        for _ in range(number):
            await house.client(WHOLE)
        stuck = number // 3
        taken = await house.total(number - stuck)
        assert len(taken) >= number - stuck
        await until(lambda: not house.dispatcher._undecided, 5)


async def test_a_worker_that_has_died_unnoticed_costs_no_new_client_its_connection() -> None:
    async with _house() as house:
        house.places[0].die()
        for _ in range(30):
            await house.client(WHOLE)
        await house.total(30)


async def test_with_no_worker_at_all_a_connection_is_ended_not_kept() -> None:
    async with _house() as house:
        places, house.places = house.places, []
        client = await house.client(WHOLE)
        with suppress(ConnectionResetError):  # as good as an end
            assert await _read(client) == b""
        assert not house.dispatcher._undecided
        house.places = places


async def test_more_undecided_than_the_limit_are_handed_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher, "MAX_UNDECIDED", 20)
    async with _house() as house:
        for _ in range(60):
            await house.client()
        await house.total(40, seconds=2)
        assert len(house.dispatcher._undecided) == 20


async def test_closing_hands_on_what_is_undecided_and_listens_no_more() -> None:
    async with _house() as house:
        await house.client(b"GET /ha")
        await until(lambda: bool(house.dispatcher._undecided), 5)
        house.dispatcher.close()
        [taken] = await house.total(1)
        assert await _read(taken) == b"GET /ha"
        with pytest.raises(ConnectionRefusedError):
            await house.client()
        assert not house.dispatcher._undecided
