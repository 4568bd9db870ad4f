"""The process that looks at one file from somebody untrusted, and ends.

Its standard input is the file, open for reading and writing; its standard output gets a line of
JSON (Facts, Refusal or Failure) and then the thumbnail, if there is one. It limits its memory, time
and output, loads the decoders that the file's first bytes ask for, and then gives up whatever it
does not need for them (media/containment.py): what a hostile file makes of a decoder stays here.
"""

import contextlib
import errno
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from media.containment import contain
from media.facts import Facts, Failure, Refusal, Unreadable
from media.formats.containers import HEAD_BYTES
from media.kinds import guess_type, sound_demuxer

NICENESS = 10
OURS = str(Path(__file__).parent)
# Python's for a program that is wrong. Decoders written in it raise them for a damaged file too.
MISTAKES = (TypeError, AttributeError, NameError, AssertionError, LookupError, NotImplementedError)

Look = Callable[[BinaryIO], tuple[Facts, bytes]]


def main(arguments: list[str]) -> None:
    """Inspect standard input, within so many bytes of memory, seconds, and bytes of output."""
    memory, seconds, size = map(int, arguments)
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_FSIZE, size)
    _limit(resource.RLIMIT_CORE, 0)
    os.nice(NICENESS)
    # Opened for both, as it was handed over: what must be rewritten is rewritten in place.
    with open(1, "wb", closefd=False) as output, open(0, "r+b", closefd=False) as file:
        answer, thumbnail = _answer(file, memory)
        output.write(msgspec.json.encode(answer) + b"\n" + thumbnail)
    sys.stderr.flush()
    # Without the decoders' ways to end, which are theirs to get wrong.
    os._exit(0)


def _answer(file: BinaryIO, memory: int) -> tuple[Facts | Refusal | Failure, bytes]:
    try:
        look = prepare(file)
        _limit(resource.RLIMIT_AS, memory)  # macOS takes it, and does not hold to it
        contain()
        # From here on the file's own bytes are worked on.
        return look(file)
    except Unreadable as error:
        return Refusal(str(error)), b""
    except MemoryError:
        return Refusal("The file takes too much memory to read"), b""
    except Exception as error:
        sys.stderr.write(_told(error))
        if _is_ours(error):
            return Failure(f"{type(error).__name__}: {error}"[:200]), b""
        return Refusal("The file is damaged, or not what its first bytes say"), b""


def prepare(file: BinaryIO) -> Look:
    """Import all that is needed to look at the file, and return how to look at it."""
    from media.images import inspect_image, needs_heif

    file.seek(0)
    heif, demuxer = needs_heif(file.read(HEAD_BYTES)), sound_demuxer(file)
    if heif:
        import pi_heif  # type: ignore[import-untyped]  # it has none

        pi_heif.register_heif_opener(thumbnails=False)
        pi_heif.options.DECODE_THREADS = 1
    if demuxer is not None:
        from media import sounds

    def look(file: BinaryIO) -> tuple[Facts, bytes]:
        if (image := inspect_image(file, heif=heif)) is not None:
            return image
        facts = None if demuxer is None else sounds.inspect_sound(file, demuxer)
        return facts or guess_type(file), b""

    return look


def _is_ours(error: Exception) -> bool:
    """Whether it is our mistake, or our system's, and not the file's.

    An import or a file that a decoder asks for too late is ours; so is a mistake that no
    decoder's own Python made of the file.
    """
    if isinstance(error, ImportError):
        return True
    where = _innermost(error.__traceback__)
    if isinstance(error, MISTAKES):
        return where.startswith(OURS)
    # Decoders give their own errors no number, but for FFmpeg, whose are of other classes. A
    # picture that becomes larger than it may (EFBIG) is the file's fault.
    number = getattr(error, "errno", None) if type(error).__module__ == "builtins" else None
    return number not in {None, errno.EFBIG}


def _innermost(trace: TracebackType | None) -> str:
    where = ""
    while trace is not None:
        where, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    return where


def _told(error: Exception) -> str:
    """Return the error and where it was raised, in one line."""
    places = traceback.extract_tb(error.__traceback__)[-3:]
    path = " > ".join(f"{Path(place.filename).name}:{place.lineno}" for place in places)
    return f"{error!r:.300} ({path})"


def _limit(what: int, limit: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # a stricter one holds already
        resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    main(sys.argv[1:])
