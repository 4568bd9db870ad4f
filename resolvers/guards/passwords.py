"""Password hashes: bcrypt, off the event loop, in a bounded and fair queue."""

import logging
import os
import re
import runpy
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from passlib.context import CryptContext

from resolvers.errors import BadInput
from resolvers.guards.addresses import networks_of
from resolvers.guards.limits.fair_queue import FairQueue, Place
from resolvers.guards.validation import check_text

logger = logging.getLogger("parley.passwords")

NICENESS = 10
MAX_WARNED_OF = 1000

# bcrypt reads no further than this (docs/decisions/0002); it counts bytes, not characters.
MAX_PASSWORD_BYTES = 72
_READABLE = re.compile(r"\$2[aby]\$[0-3][0-9]\$[./A-Za-z0-9]{53}")
# How many calls may wait for each worker: at about 0.25 s a hash, the last of them waits 8 s.
WAITING_PER_WORKER = 32


class Verdict(NamedTuple):
    """Whether a password matches, and its new hash if the stored one has another cost."""

    matches: bool
    renewed: str | None = None


class Passwords:
    """Hashes and verifies in its own threads, so that logins never stall messages."""

    def __init__(
        self, *, rounds: int, workers: int, min_length: int = 1, refuse_common: bool = False
    ) -> None:
        self._min_length = min_length
        self._common = _common_passwords() if refuse_common else frozenset()
        self._hashes = CryptContext(schemes=["bcrypt"], bcrypt__rounds=rounds)
        self._pool = ThreadPoolExecutor(
            max_workers=workers, thread_name_prefix="bcrypt", initializer=_give_way
        )
        self._queue = FairQueue(self._pool, workers=workers, room=workers * WAITING_PER_WORKER)
        self._warned_of: set[int] = set()
        # The password of an unknown e-mail is compared with this, so that it takes the same time.
        self._decoy = self._hashes.hash("decoy")

    @property
    def waiting(self) -> int:
        """How many passwords wait for a thread."""
        return self._queue.waiting

    def check_new(self, password: str) -> None:
        """Raise BadInput for a password that no account may have from now on."""
        check_password(password)
        if len(password) < self._min_length:
            raise BadInput(f"Password is shorter than {self._min_length} characters")
        if password.lower() in self._common:
            raise BadInput("Password is one of the most common ones; choose another")

    def hold(self, address: str = "", *, familiar: bool = False) -> Place:
        """Take a place in the queue for a caller at the address. Raises RateLimited when full.

        Callers who are familiar to their account have every second turn, and half of the places
        if they need them. Both halves are shared out fairly among the networks.
        """
        known = "familiar" if familiar else "strangers"
        return self._queue.hold((known, *reversed(networks_of(address))))

    async def hash(self, password: str, place: Place | None = None) -> str:
        """Return a hash. Raises BadInput when bcrypt cannot, RateLimited when too many wait."""
        check_password(password)
        with place or self.hold() as held:
            return await held.run(partial(self._hashes.hash, password))

    async def verify(
        self, password: str, hashed: str | None, place: Place | None = None
    ) -> Verdict:
        """Compare the password with the hash; without a hash, say no in the same time.

        Raises RateLimited when too many wait.
        """
        secret = _as_bcrypt_reads(password)
        with place or self.hold() as held:
            if secret is None or not hashed or not is_readable(hashed):
                # It cannot match, but the answer must take as long as any other.
                await held.run(partial(self._verify, secret or b"decoy", self._decoy))
                return Verdict(False)
            return await held.run(partial(self._verify, secret, hashed))

    def close(self) -> None:
        """End the threads, and abandon the calls that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, secret: bytes, hashed: str) -> Verdict:
        try:
            matches, renewed = self._hashes.verify_and_update(secret, hashed)
        except ValueError:
            return Verdict(False)  # a cost or a salt that bcrypt refuses
        return Verdict(bool(matches), renewed)

    def warn_of(self, user_id: int, hashed: str) -> None:
        """Log once that the user cannot log in, if the stored hash is of no use."""
        if not hashed or is_readable(hashed) or len(self._warned_of) >= MAX_WARNED_OF:
            return
        if user_id not in self._warned_of:
            self._warned_of.add(user_id)
            kind = "a faulty bcrypt's ($2x$)" if hashed.startswith("$2x$") else "no bcrypt hash"
            logger.warning("User %d cannot log in: the stored password is %s", user_id, kind)


def _give_way() -> None:
    """Give this thread a lower priority than the event loop has, where messages are sent."""
    if sys.platform == "linux":  # elsewhere the whole process would get it
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _common_passwords() -> frozenset[str]:
    """Return the passwords that attackers try first, in lower case."""
    package = find_spec("zxcvbn")
    assert package is not None  # noqa: S101  # a dependency of ours
    assert package.origin is not None  # noqa: S101  # it is a folder of files
    # The file is run alone: the package would keep tens of megabytes of words and tables.
    file = Path(package.origin).with_name("frequency_lists.py")
    return frozenset(runpy.run_path(str(file))["FREQUENCY_LISTS"]["passwords"])


def is_readable(hashed: str) -> bool:
    """Whether passwords can be compared with the hash; an imported account may have another kind.

    `$2x$` marks the hashes of an old PHP, which several passwords share when they are not ASCII.
    """
    return _READABLE.fullmatch(hashed) is not None


def _as_bcrypt_reads(password: str) -> bytes | None:
    """Return the bytes of a password that bcrypt reads; None for one that has no hash.

    PHP, Node and Python hash the first 72 bytes of a longer password, so that an imported account
    logs in by these. A new password may have no more (`check_password`).
    """
    try:
        secret = password.encode()
    except UnicodeEncodeError:
        return None
    return None if b"\0" in secret else secret[:MAX_PASSWORD_BYTES] or None


def check_password(password: str) -> None:
    """Raise BadInput unless bcrypt can take the password."""
    if not password:
        raise BadInput("Password is required")
    if len(password) <= MAX_PASSWORD_BYTES:  # size first; a code point is a byte at least
        check_text(password, "Password")
    if len(password) > MAX_PASSWORD_BYTES or len(password.encode()) > MAX_PASSWORD_BYTES:
        raise BadInput(f"Password is longer than {MAX_PASSWORD_BYTES} bytes")
