"""Password hashes: bcrypt, off the event loop, in a bounded pool."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from passlib.context import CryptContext

from resolvers.errors import BadInput, RateLimited
from resolvers.fields import check_text

NICENESS = 10

P = ParamSpec("P")
T = TypeVar("T")

# bcrypt reads no further than this (docs/decisions/0002); it counts bytes, not characters.
MAX_PASSWORD_BYTES = 72
# How many may wait for each worker: at about 0.25 s a hash, the last of them waits 8 s.
WAITING_PER_WORKER = 32


class Passwords:
    """Hashes and verifies in its own threads, so that logins never stall messages."""

    def __init__(self, *, rounds: int, workers: int) -> None:
        self._hashes = CryptContext(schemes=["bcrypt"], bcrypt__rounds=rounds)
        self._pool = ThreadPoolExecutor(
            max_workers=workers, thread_name_prefix="bcrypt", initializer=_give_way
        )
        self._room = workers * (WAITING_PER_WORKER + 1)
        # What an unknown e-mail's password is compared with, so that it costs the same time.
        self._decoy = self._hashes.hash("decoy")

    async def hash(self, password: str) -> str:
        """Return a hash. Raises BadInput when bcrypt cannot, RateLimited when too many wait."""
        check_password(password)
        return await self._run(self._hashes.hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password has this hash; False, in the same time, when there is no hash.

        Raises RateLimited when too many wait.
        """
        try:
            check_password(password)
        except BadInput:
            # No stored hash can be of it, but the answer must take as long as any other.
            password, hashed = "decoy", None
        matches = await self._run(self._matches, password, hashed or self._decoy)
        return matches and bool(hashed)

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash that was verified is of another cost than new ones are."""
        return bool(self._hashes.needs_update(hashed))

    def close(self) -> None:
        """End the threads; those who wait are abandoned."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password: str, hashed: str) -> bool:
        try:
            return bool(self._hashes.verify(password, hashed))
        except ValueError:
            # Not a bcrypt hash: an imported account that cannot log in until it is given one.
            return False

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._room == 0:
            raise RateLimited(
                "Too many logins at once; try again in a few seconds", retry_after_ms=3000
            )
        self._room -= 1
        try:
            call = partial(function, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._room += 1


def _give_way() -> None:
    """Have messages go first where a CPU is short: a login may take a little longer."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def check_password(password: str) -> None:
    """Raise BadInput unless bcrypt can take the password."""
    if not password:
        raise BadInput("Password is required")
    if len(password) <= MAX_PASSWORD_BYTES:  # size first; a code point is a byte at least
        check_text(password, "Password")
    if len(password) > MAX_PASSWORD_BYTES or len(password.encode()) > MAX_PASSWORD_BYTES:
        raise BadInput(f"Password is longer than {MAX_PASSWORD_BYTES} bytes")
