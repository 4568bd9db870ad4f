"""A pending result is the same to whoever awaits it and to whoever takes it in a callback."""

import asyncio

import pytest

from resolvers.pending import Pending


def refuse(text: str) -> str:
    raise LookupError(text)


async def settled(pending: Pending[str], text: str) -> list[str]:
    """Return what each of the two ways gives once the future has brought `text`."""
    taken: list[str] = []
    pending.future.add_done_callback(lambda _: taken.append(pending.result()))
    asyncio.get_running_loop().call_soon(pending.future.set_result, text)
    return [await pending, *taken]


async def test_awaited_or_taken_it_is_the_same() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    assert await settled(Pending.of(future).then(str.upper).then("<{}>".format), "a") == ["<A>"] * 2


async def test_what_is_made_of_it_may_raise() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.set_result("no")
    pending = Pending.of(future).then(refuse)
    with pytest.raises(LookupError, match="no"):
        await pending
    with pytest.raises(LookupError, match="no"):
        pending.result()


async def test_a_failed_future_is_told_in_the_operations_words() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError("the log's word"))
    assert future.exception() is not None

    def result() -> str:
        try:
            return future.result()
        except ValueError as error:
            raise LookupError("the caller's word") from error

    with pytest.raises(LookupError, match="the caller's word"):
        await Pending(future, result)


async def test_who_stops_waiting_cancels_the_future() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    pending = Pending.of(future)
    waiting = asyncio.ensure_future(pending)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert future.cancelled()
