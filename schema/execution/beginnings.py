"""Mutations that wait for one thing: begun at once, and answered without a task."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

_KEY = "beginning"


class Beginning(NamedTuple):
    """A mutation's function in two halves, which together do and raise what it does.

    Its field bears this in its metadata. A socket that runs the halves needs no task for it.
    """

    # Of the operations' context, and the arguments by their names in Python.
    begin: Callable[[Any, dict[str, Any]], "asyncio.Future[Any]"]
    finish: Callable[[Any, "asyncio.Future[Any]"], Any]  # of that context, and the done future

    def as_metadata(self) -> dict[str, Any]:
        """Return what the field is to bear."""
        return {_KEY: self}


def beginning_of(definition: Any) -> Beginning | None:
    """Return what a field's definition in Strawberry bears."""
    found: Beginning | None = definition.metadata.get(_KEY)
    return found
