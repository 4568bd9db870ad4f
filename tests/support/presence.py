"""Connections that count for presence, and are nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

from events.presence import Presence


@contextmanager
def connected(presence: Presence, user_id: int) -> Iterator[None]:
    """Count a connection of the user's while the block lasts."""
    presence.enter(user_id)
    try:
        yield
    finally:
        presence.leave(user_id)
