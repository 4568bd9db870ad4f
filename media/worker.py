"""The process that inspects one untrusted file, and ends.

Its standard input is the file, open for reading and writing; its standard output gets a line of
JSON (Facts, Refusal or Failure) and then the thumbnail, if there is one. Asked for `squares`, it
answers Squares and two square pictures in place of Facts and a thumbnail. The process limits its
memory, time and output, loads the decoders that the file's first bytes ask for, and then gives up
every right that they do not need (media/containment.py). A hostile file that takes over a decoder
can do nothing outside this process.
"""

import contextlib
import errno
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from media.containment import contain
from media.facts import Answer, Facts, Failure, Refusal, Squares, Unreadable
from media.formats.containers import HEAD_BYTES
from media.kinds import guess_type, sound_demuxer

NICENESS = 10
OURS = str(Path(__file__).parent)
# What Python raises for a mistake. Decoders in Python raise these for damaged files as well.
MISTAKES = (TypeError, AttributeError, NameError, AssertionError, LookupError, NotImplementedError)

Look = Callable[[BinaryIO], tuple[Facts | Squares, bytes]]


def main(arguments: list[str]) -> None:
    """Inspect standard input, within so many bytes of memory, seconds, and bytes of output."""
    memory, seconds, size = map(int, arguments[:3])
    makes_squares = arguments[3:] == ["squares"]
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_FSIZE, size)
    _limit(resource.RLIMIT_CORE, 0)
    os.nice(NICENESS)
    with open(1, "wb", closefd=False) as output, open(0, "r+b", closefd=False) as file:
        answer, pictures = _answer(file, memory, prepare_squares if makes_squares else prepare)
        output.write(msgspec.json.encode(answer) + b"\n" + pictures)
    sys.stderr.flush()
    # Skip what decoders do at the exit of a program: a damaged decoder may hang or crash there.
    os._exit(0)


def _answer(
    file: BinaryIO, memory: int, prepare: Callable[[BinaryIO], Look]
) -> tuple[Answer, bytes]:
    try:
        look = prepare(file)
        _limit(resource.RLIMIT_AS, memory)  # macOS accepts the limit and does not enforce it
        contain()
        return look(file)  # from here on decoders read the file
    except Unreadable as error:
        return Refusal(str(error)), b""
    except MemoryError:
        return Refusal("The file takes too much memory to read"), b""
    except Exception as error:
        sys.stderr.write(_describe(error))
        if _is_ours(error):
            return Failure(f"{type(error).__name__}: {error}"[:200]), b""
        return Refusal("The file is damaged, or not what its first bytes say"), b""


def prepare(file: BinaryIO) -> Look:
    """Import every decoder that the file may need, and return the function that inspects it."""
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


def prepare_squares(file: BinaryIO) -> Look:
    """Import every decoder that a picture may need, and return the function that makes squares."""
    from media.images import make_squares

    return make_squares


def _is_ours(error: Exception) -> bool:
    """Whether the fault is our program's, or the system's, and not the file's.

    Ours are: an import, or an opened file, after the process was contained; and a mistake that was
    raised in this room's own code.
    """
    if isinstance(error, ImportError):
        return True
    if isinstance(error, MISTAKES):
        return traceback.extract_tb(error.__traceback__)[-1].filename.startswith(OURS)
    # Decoders give their own errors no number; FFmpeg does, and its errors are of other classes.
    # EFBIG is the file's fault: its picture became larger than a file may be here.
    number = getattr(error, "errno", None) if type(error).__module__ == "builtins" else None
    return number not in {None, errno.EFBIG}


def _describe(error: Exception) -> str:
    """Return the error, and the places that it was raised through, in one line."""
    places = traceback.extract_tb(error.__traceback__)[-3:]
    path = " > ".join(f"{Path(place.filename).name}:{place.lineno}" for place in places)
    return f"{error!r:.300} ({path})"


def _limit(what: int, limit: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # a stricter limit holds already
        resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    main(sys.argv[1:])
