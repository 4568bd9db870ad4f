"""Connections that begin, or end, in a crowd: some in each turn of the loop, none forgotten."""

import asyncio
import socket

import uvloop

from server.processes.acceptor import AT_ONCE as ACCEPTED_AT_ONCE
from server.processes.acceptor import Acceptor
from server.processes.listeners import bind
from server.protocols.turns import AT_ONCE, Crowd
from tests.faults.waits import until


async def test_a_few_are_called_at_once() -> None:
    crowd, called = Crowd(), list[int]()
    for number in range(AT_ONCE):
        crowd.add(lambda number=number: called.append(number))  # type: ignore[misc]  # bound now
    assert called == [*range(AT_ONCE)]


async def test_many_are_called_some_in_a_turn_and_in_order() -> None:
    crowd, called = Crowd(), list[int]()
    many = 10 * AT_ONCE + 1
    for number in range(many):
        crowd.add(lambda number=number: called.append(number))  # type: ignore[misc]  # bound now
    turns = 0
    while len(called) < many:
        before = len(called)
        await asyncio.sleep(0)
        assert len(called) - before <= AT_ONCE
        turns += 1
        assert turns < 1000
    assert called == [*range(many)]
    assert turns > 10  # others had the loop in between


async def test_one_that_fails_takes_no_other_with_it() -> None:
    crowd, called = Crowd(), list[int]()

    def fail() -> None:
        raise RuntimeError("this one only")

    for number in range(AT_ONCE):
        crowd.add(lambda number=number: called.append(number))  # type: ignore[misc]  # bound now
    crowd.add(fail)
    crowd.add(lambda: called.append(-1))
    await until(lambda: -1 in called, 10)
    crowd.add(lambda: called.append(-2))
    await until(lambda: -2 in called, 10)


async def _turns_to_accept(count: int) -> int:
    """Return in how many turns of the loop so many connections were taken that came at once."""
    (listener,) = bind("127.0.0.1", 0)
    served: list[socket.socket] = []

    acceptor = Acceptor([listener], lambda connection, address: served.append(connection))
    acceptor.start()
    clients = [socket.create_connection(listener.getsockname()) for _ in range(count)]
    turns = 0
    while len(served) < count:
        await asyncio.sleep(0)
        turns += 1
        assert turns < 10_000
    acceptor.close()
    for connection in (*clients, *served):
        connection.close()
    return turns


def test_a_crowd_is_accepted_in_few_turns() -> None:
    # uvloop's own server takes one in each turn.
    count = 8 * ACCEPTED_AT_ONCE
    assert uvloop.run(_turns_to_accept(count)) < count // 4
