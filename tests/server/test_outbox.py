"""The outbox: one visit to all who wrote in a turn, at the end of the next."""

import asyncio

import pytest

from server.protocols.outbox import outbox_of


async def test_writers_of_a_turn_are_flushed_once_and_those_of_the_next_one_turn_later() -> None:
    outbox = outbox_of(asyncio.get_running_loop())
    assert outbox is outbox_of(asyncio.get_running_loop())
    flushed: list[str] = []
    outbox.add(lambda: flushed.append("a"))
    outbox.add(lambda: flushed.append("b"))
    await asyncio.sleep(0)
    assert flushed == []  # there is still room for what the next turn writes
    outbox.add(lambda: flushed.append("c"))
    await asyncio.sleep(0)
    assert flushed == ["a", "b"]
    await asyncio.sleep(0)
    assert flushed == ["a", "b", "c"]
    await asyncio.sleep(0)
    assert flushed == ["a", "b", "c"]


async def test_a_connection_that_fails_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    outbox = outbox_of(asyncio.get_running_loop())
    flushed: list[str] = []

    def fail() -> None:
        raise RuntimeError("the handle is closed")

    outbox.add(fail)
    outbox.add(lambda: flushed.append("after"))
    for _ in range(2):
        await asyncio.sleep(0)
    assert flushed == ["after"]
    assert "could not be sent" in caplog.text
