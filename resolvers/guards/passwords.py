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
from resolvers.guards.fair_queue import FairQueue, Place
from resolvers.guards.fields import check_text

logger = logging.getLogger("parley.passwords")

NICENESS = 10
MAX_WARNED_OF = 1000

# bcrypt reads no further than this (docs/decisions/0002); it counts bytes, not characters.
MAX_PASSWORD_BYTES = 72
_READABLE = re.compile(r"\$2[aby]\$[0-3][0-9]\$[./A-Za-z0-9]{53}")
# How many may wait for each worker: at about 0.25 s a hash, the last of them waits 8 s.
WAITING_PER_WORKER = 32


class Verdict(NamedTuple):
    """Whether a password fits, and its hash at today's cost if the stored one has another."""

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
        # What an unknown e-mail's password is compared with, so that it costs the same time.
        self._decoy = self._hashes.hash("decoy")

    def check_new(self, password: str) -> None:
        """Raise BadInput unless the password may be somebody's from now on."""
        check_password(password)
        if len(password) < self._min_length:
            raise BadInput(f"Password is shorter than {self._min_length} characters")
        if password.lower() in self._common:
            raise BadInput("Password is one of the most common ones; choose another")

    def hold(self, address: str = "", *, familiar: bool = False) -> Place:
        """Take a place in the queue for a caller there. Raises RateLimited when there is none.

        Those who are familiar to the account that they ask for have half of the places if they
        need them, and every second turn. Among themselves, the networks are treated alike.
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
        """Whether the password has this hash; not, in the same time, when there is no hash.

        Raises RateLimited when too many wait.
        """
        secret = _as_bcrypt_reads(password)
        with place or self.hold() as held:
            if secret is None or not hashed or not is_readable(hashed):
                # No stored hash can be of it, but the answer must take as long as any other.
                await held.run(partial(self._verify, secret or b"decoy", self._decoy))
                return Verdict(False)
            return await held.run(partial(self._verify, secret, hashed))

    def close(self) -> None:
        """End the threads; those who wait are abandoned."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, secret: bytes, hashed: str) -> Verdict:
        try:
            matches, renewed = self._hashes.verify_and_update(secret, hashed)
        except ValueError:
            return Verdict(False)  # a cost or a salt that bcrypt refuses
        return Verdict(bool(matches), renewed)

    def warn_of(self, user_id: int, hashed: str) -> None:
        """Say in the log, once, that the user cannot log in with this hash, if that is so."""
        if not hashed or is_readable(hashed) or len(self._warned_of) >= MAX_WARNED_OF:
            return
        if user_id not in self._warned_of:
            self._warned_of.add(user_id)
            kind = "a faulty bcrypt's ($2x$)" if hashed.startswith("$2x$") else "no bcrypt hash"
            logger.warning("User %d cannot log in: the stored password is %s", user_id, kind)


def _give_way() -> None:
    """Have messages go first where a CPU is short: a login may take a little longer."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _common_passwords() -> frozenset[str]:
    """Return the passwords that are tried first, in lower case."""
    package = find_spec("zxcvbn")
    assert package is not None  # noqa: S101  # a dependency of ours
    assert package.origin is not None  # noqa: S101  # it is a folder of files
    # The file alone: the package would keep all its words, names and tables, tens of megabytes.
    file = Path(package.origin).with_name("frequency_lists.py")
    return frozenset(runpy.run_path(str(file))["FREQUENCY_LISTS"]["passwords"])


def is_readable(hashed: str) -> bool:
    """Whether passwords can be compared with it; an imported account may have another hash.

    `$2x$` is none: it marks the hashes of a PHP that took other characters than ASCII wrongly, so
    that several passwords have the same one.
    """
    return _READABLE.fullmatch(hashed) is not None


def _as_bcrypt_reads(password: str) -> bytes | None:
    """Return what bcrypt reads of a password to verify; None for one that no hash can be of.

    PHP, Node and Python hash the first 72 bytes of a longer one, so that an imported account logs
    in by these. A new password is held to them: `check_password`.
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
