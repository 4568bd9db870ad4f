"""The result of an operation that waits for one future: awaited, or read in its callback."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Pending(Generic[T]):
    """What an operation returns that has done its part and now waits for one future.

    `await` it, or call `result` in the callback of `future`, so that no task has to wait. A future
    made from a future would cost a turn of the loop for each step; `then` costs none, and changes
    this object. The future belongs to this caller alone: a caller that goes away cancels it.
    """

    __slots__ = ("future", "result")

    def __init__(self, future: "asyncio.Future[Any]", result: Callable[[], T]) -> None:
        self.future = future
        self.result = result  # of the done future; raises what the operation raises

    @classmethod
    def of(cls, future: "asyncio.Future[T]") -> "Pending[T]":
        """Return the result of a future as it is."""
        return cls(future, future.result)

    def then(self, make: Callable[[T], U]) -> "Pending[U]":
        """Have `make` make the result of what the result was, and return this object."""
        before = self.result
        changed: Pending[Any] = self
        changed.result = lambda: make(before())
        return changed

    def __await__(self) -> Generator[Any, None, T]:
        try:
            yield from self.future
        except Exception:  # `result` raises it, in the operation's words
            return self.result()
        return self.result()
