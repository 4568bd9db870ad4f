"""What processes of this machine ask of the one that writes the index, through a named pipe.

A commit costs ten milliseconds of the processor and the disk's time, whatever is in it. So the
index is committed when somebody searches, and else seldom.
"""

import contextlib
import errno
import os
from pathlib import Path

import msgspec

from db.private import FILE_MODE

# The system writes so much in one piece, and a line is far shorter.
MAX_READ = 4096


class Request(msgspec.Struct, frozen=True):
    """Commit everything up to the head of the log of this epoch; or make the index anew."""

    head: int
    epoch: str
    anew: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Request)


class RequestPipe:
    """The pipe in the index's directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "requests"

    def send(self, request: Request) -> bool:
        """Ask without waiting; return whether there is a process that will hear it."""
        try:
            pipe = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # nobody reads (ENXIO), or has ever read
            return False
        try:
            os.write(pipe, _encoder.encode(request) + b"\n")
        except OSError as error:
            return error.errno == errno.EAGAIN  # so many ask that it is full
        finally:
            os.close(pipe)
        return True

    def open(self) -> int:
        """Make the pipe, and return what to read it from. Raises OSError.

        The descriptor writes too: else it would be at its end whenever nobody else does.
        """
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self._path, FILE_MODE)
        return os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def read_requests(pipe: int) -> list[Request]:
    """Return the requests that wait in the pipe; what is no request is left out."""
    requests: list[Request] = []
    with contextlib.suppress(BlockingIOError):
        while found := os.read(pipe, MAX_READ):
            for line in found.splitlines():
                with contextlib.suppress(msgspec.MsgspecError):
                    requests.append(_decoder.decode(line))
    return requests
