"""The process that looks at one file from somebody untrusted, and ends.

Its standard input is the file, open for reading and writing; its standard output gets a line of
JSON (Facts or Refusal) and then the thumbnail, if there is one. It is given no secret, and limits
itself before a decoder is loaded: a hostile file can at worst fail its own upload.
"""

import contextlib
import os
import sys
from typing import BinaryIO

import msgspec

from media.facts import Facts, FileKind, Refusal, Unreadable

NICENESS = 10
OPEN_FILES = 64
# What browsers show: said only of what was decoded as it.
SHOWN = ("image/", "audio/", "video/", "text/")


def main(arguments: list[str]) -> None:
    """Inspect standard input as the kind that was asked for, or as whatever it is (`ANY`)."""
    wanted, memory, seconds, size = arguments[0], *map(int, arguments[1:4])
    _limit(memory=memory, seconds=seconds, size=size)
    answer: Facts | Refusal
    thumbnail = b""
    # Opened for both, as it was handed over: what has to be rewritten is rewritten in place.
    with open(0, "r+b", closefd=False) as file:
        try:
            answer, thumbnail = _inspect(file, wanted)
        except Unreadable as error:
            answer = Refusal(str(error))
        except MemoryError:
            answer = Refusal("The file takes too much memory to read")
        except Exception as error:  # whatever a decoder makes of it
            sys.stderr.write(repr(error))
            answer = Refusal("The file is damaged, or not what its first bytes say")
    with open(1, "wb", closefd=False) as output:
        output.write(msgspec.json.encode(answer) + b"\n" + thumbnail)
    # Without the decoders' ways to end, which are theirs to get wrong.
    os._exit(0)


def _inspect(file: BinaryIO, wanted: str) -> tuple[Facts, bytes]:
    if wanted == FileKind.FILE:
        return Facts(kind=FileKind.FILE, media_type=_guess(file)), b""
    # Each loads its decoders: only those are that may be needed.
    from media.images import inspect_image

    if (image := inspect_image(file)) is not None:
        return image
    from media.sounds import inspect_sound

    facts = inspect_sound(file)
    if facts is None:
        facts = Facts(kind=FileKind.FILE, media_type=_guess(file))
    return facts, b""


def _guess(file: BinaryIO) -> str:
    """Return what the first bytes say; never what a browser would show."""
    import filetype  # type: ignore[import-untyped]  # it publishes none

    file.seek(0)
    media_type: str | None = filetype.guess_mime(file.read(8192))
    if media_type is None or media_type.startswith(SHOWN):
        return Facts(kind=FileKind.FILE).media_type
    return media_type


def _limit(*, memory: int, seconds: int, size: int) -> None:
    with contextlib.suppress(ImportError):  # not on Windows; the time limit holds there too
        import resource

        limits = {
            resource.RLIMIT_AS: memory,
            resource.RLIMIT_CPU: seconds,
            resource.RLIMIT_FSIZE: size,
            resource.RLIMIT_NOFILE: OPEN_FILES,
            resource.RLIMIT_CORE: 0,
        }
        for what, limit in limits.items():
            with contextlib.suppress(ValueError, OSError):  # a stricter one holds already
                resource.setrlimit(what, (limit, limit))
        os.nice(NICENESS)


if __name__ == "__main__":
    main(sys.argv[1:])
