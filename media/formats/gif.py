"""GIF (89a): its blocks. Only those of the picture are kept."""

import struct

from media.formats.stripping import Damaged, Stripped

EXTENSION, IMAGE, END = 0x21, 0x2C, 0x3B
# The extensions that are kept: how a frame is shown, and how often the animation is.
CONTROL, APPLICATION = 0xF9, 0xFF
LOOPS = {b"NETSCAPE2.0", b"ANIMEXTS1.0"}
SCREEN_BYTES = 13


def strip(content: bytes) -> Stripped:
    """Return the GIF with its frames alone, and how they are shown. Raises Damaged.

    Dropped: comments, texts, XMP, blocks of applications, and any bytes behind the end.
    """
    try:
        return _strip(content)
    except (IndexError, struct.error):
        raise Damaged from None


def _strip(content: bytes) -> Stripped:
    width, height = struct.unpack_from("<HH", content, 6)
    at = SCREEN_BYTES + _colours(content[10])
    kept = [content[:at]]
    control = b""  # of the frame that follows
    frames = 0
    while at < len(content) and (kind := content[at]) != END:
        if kind == EXTENSION:
            if at + 2 > len(content) or (end := _blocks_end(content, at + 2)) is None:
                break  # viewers show the frames that are there
            label, start, at = content[at + 1], at, end
            if label == CONTROL:
                control = content[start:end]
                if content[start + 2] != 4 or len(control) != 8:
                    control = b""
            elif label == APPLICATION:
                kept.append(_loop(content[start:end]))
            else:
                control = b""
        elif kind == IMAGE:
            data = at + 11 + _colours(content[at + 9])
            end = _blocks_end(content, data)
            if end is None:
                _check_only_the_end_is_missing(content, data)
            kept += [control, content[at:end], b"\0" if end is None else b""]
            control, at, frames = b"", end or len(content), frames + 1
        elif kind == 0:
            at += 1  # some programs write one empty block too many
        else:
            break  # no viewer knows such a block: it shows the frames before it
    if not frames:
        raise Damaged
    return Stripped(b"".join(kept) + b";", width, height, frames=frames)


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks_end(content: bytes, at: int) -> int | None:
    """Return the end of the blocks of data that begin here; None when the file ends first."""
    size = len(content)
    while at < size and (length := content[at]):
        at += 1 + length
    return at + 1 if at < size else None


def _check_only_the_end_is_missing(content: bytes, at: int) -> None:
    """Raise Damaged when a block of the frame's data was cut off, and not just the empty one."""
    while at < len(content):
        at += 1 + content[at]
    if at != len(content):
        raise Damaged


def _loop(extension: bytes) -> bytes:
    """Return the extension when it says how often the animation is shown; else nothing."""
    if extension[2] == 11 and extension[3:14] in LOOPS and extension[14:16] == b"\3\1":
        return extension[:18] + b"\0"
    return b""
