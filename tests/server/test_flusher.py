"""The flusher: one visit to all who wrote in a turn, at the end of the next."""

import asyncio

import pytest

from server.protocols.turns import flusher_of


async def test_writers_of_a_turn_are_flushed_once_and_those_of_the_next_one_turn_later() -> None:
    flusher = flusher_of(asyncio.get_running_loop())
    assert flusher is flusher_of(asyncio.get_running_loop())
    flushed: list[str] = []
    flusher.add(lambda: flushed.append("a"))
    flusher.add(lambda: flushed.append("b"))
    await asyncio.sleep(0)
    assert flushed == []  # there is still room for what the next turn writes
    flusher.add(lambda: flushed.append("c"))
    await asyncio.sleep(0)
    assert flushed == ["a", "b"]
    await asyncio.sleep(0)
    assert flushed == ["a", "b", "c"]
    await asyncio.sleep(0)
    assert flushed == ["a", "b", "c"]


async def test_a_connection_that_fails_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    flusher = flusher_of(asyncio.get_running_loop())
    flushed: list[str] = []

    def fail() -> None:
        raise RuntimeError("the handle is closed")

    flusher.add(fail)
    flusher.add(lambda: flushed.append("after"))
    for _ in range(2):
        await asyncio.sleep(0)
    assert flushed == ["after"]
    assert "could not be begun, ended, or written to" in caplog.text
