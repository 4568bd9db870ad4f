"""The process that looks at one file from somebody untrusted, and ends.

Its standard input is the file, open for reading and writing; its standard output gets a line of
JSON (Facts or Refusal) and then the thumbnail, if there is one. It limits its memory, time and
output, loads the decoders that the file's first bytes ask for, and then can open nothing any more,
neither files nor connections: what a hostile file makes of a decoder stays in here.
"""

import contextlib
import os
import resource
import sys
from typing import BinaryIO

import msgspec

from media.facts import Facts, Refusal, Unreadable

NICENESS = 10


def main(arguments: list[str]) -> None:
    """Inspect standard input, within so many bytes of memory, seconds, and bytes of output."""
    memory, seconds, size = map(int, arguments)
    _limit(resource.RLIMIT_AS, memory)  # macOS takes it, and does not hold to it
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_FSIZE, size)
    _limit(resource.RLIMIT_CORE, 0)
    os.nice(NICENESS)
    answer: Facts | Refusal
    thumbnail = b""
    with open(1, "wb", closefd=False) as output:
        # Opened for both, as it was handed over: what must be rewritten is rewritten in place.
        with open(0, "r+b", closefd=False) as file:
            try:
                answer, thumbnail = _inspect(file)
            except Unreadable as error:
                answer = Refusal(str(error))
            except MemoryError:
                answer = Refusal("The file takes too much memory to read")
            except Exception as error:  # whatever a decoder makes of it
                sys.stderr.write(repr(error)[:500])
                answer = Refusal("The file is damaged, or not what its first bytes say")
        output.write(msgspec.json.encode(answer) + b"\n" + thumbnail)
    sys.stderr.flush()
    # Without the decoders' ways to end, which are theirs to get wrong.
    os._exit(0)


def _inspect(file: BinaryIO) -> tuple[Facts, bytes]:
    from media.images import inspect_image, needs_heif
    from media.kinds import guess_type, sound_demuxer

    file.seek(0)
    head = file.read(12)
    heif, demuxer = needs_heif(head), sound_demuxer(file)
    if heif:
        from pi_heif import register_heif_opener  # type: ignore[import-untyped]  # it has none

        register_heif_opener(thumbnails=False)
    if demuxer is not None:
        from media import sounds
    # From here on the file's own bytes are worked on.
    _limit(resource.RLIMIT_NOFILE, 0)
    if (image := inspect_image(file, heif=heif)) is not None:
        return image
    facts = None if demuxer is None else sounds.inspect_sound(file, demuxer)
    if facts is None:
        file.seek(0)
        facts = guess_type(file)
    return facts, b""


def _limit(what: int, limit: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # a stricter one holds already
        resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    main(sys.argv[1:])
