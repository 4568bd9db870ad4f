"""File descriptors: as many as the system gives, and some kept back for our own work."""

import contextlib
import logging
import os
import resource

from server.logs import RareWarning

logger = logging.getLogger("parley.server")

# What a process could use at all; where the hard limit is "unlimited", the kernel has another.
MOST_DESCRIPTORS = 1_048_576
# Kept back for the database, for files and for `/ready`: so many, or the share that is more.
RESERVED = 128
RESERVED_SHARE = 20


def raise_limit() -> int:
    """Raise the soft limit on open files to the hard one; return what holds then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY:
        return MOST_DESCRIPTORS
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # the kernel has its own limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Descriptors:
    """Whether there is room for another connection, by the number of its descriptor.

    The system gives the lowest free number. So a connection with a high number shows that nearly
    all descriptors are in use, whatever uses them.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = raise_limit() if limit is None else limit
        reserve = min(max(RESERVED, self._limit // RESERVED_SHARE), self._limit // 4)
        self._first_reserved = self._limit - reserve
        self._last_served = self._limit - reserve // 2
        self._short = False
        self._shortage = RareWarning(
            "Nearly all of %d file descriptors are in use: new connections are refused, and"
            " idle ones are closed. Raise the limit (ulimit -Hn, LimitNOFILE)"
        )

    def is_short(self, descriptor: int) -> bool:
        """Whether a connection with this number may ask only for `/health` and `/ready`."""
        if descriptor < self._first_reserved:
            if self._short:
                self._tell_over()
            return False
        self._short = True
        self._shortage.log(self._limit)
        return True

    def is_out(self, descriptor: int) -> bool:
        """Whether a connection with this number is closed without a look at it."""
        return descriptor >= self._last_served

    def _tell_over(self) -> None:
        # The connection may have got a number that was free below all others: look for the next.
        with contextlib.suppress(OSError):
            lowest = os.open(os.devnull, os.O_RDONLY)
            os.close(lowest)
            if lowest < self._first_reserved - RESERVED // 8:
                self._short = False
                self._shortage.forget()
                logger.warning("There are file descriptors again: new connections are served")
