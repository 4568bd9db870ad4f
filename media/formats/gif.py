"""GIF (89a): its blocks, of which only those that the picture needs are kept."""

import struct

from media.formats.stripping import Damaged, Stripped

EXTENSION, IMAGE, END = 0x21, 0x2C, 0x3B
CONTROL, APPLICATION = 0xF9, 0xFF  # the extensions that are kept: for a frame, and for how often
LOOPS = {b"NETSCAPE2.0", b"ANIMEXTS1.0"}
SCREEN_BYTES = 13


def strip_gif(content: bytes) -> Stripped:
    """Return the GIF without anything but its frames and how they are shown. Raises Damaged.

    Dropped: comments, texts, XMP and other applications' blocks, and what stands behind the end.
    """
    try:
        return _strip(content)
    except (IndexError, struct.error):
        raise Damaged from None


def _strip(content: bytes) -> Stripped:
    width, height = struct.unpack_from("<HH", content, 6)
    at = SCREEN_BYTES + _colours(content[10])
    kept = [content[:at]]
    control = b""  # it belongs to the frame that follows
    frames = 0
    while at < len(content) and (kind := content[at]) != END:
        if kind == EXTENSION:
            if at + 2 > len(content) or (end := _blocks_end(content, at + 2)) is None:
                break  # a frame may be missing, or nothing: what is there is shown
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
                # Only the block that ends the frame's data may be missing.
                end = _missing_end(content, data)
                kept += [control, content[at:end], b"\0"]
            else:
                kept += [control, content[at:end]]
            control, at, frames = b"", end, frames + 1
        elif kind == 0:
            at += 1  # one empty block too many, as some programs write
        else:
            break  # nothing that a viewer knows: it shows what came before
    if not frames:
        raise Damaged
    return Stripped(b"".join(kept) + b";", width, height, frames=frames)


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks_end(content: bytes, at: int) -> int | None:
    """Return where the blocks of data end that begin here; None when the file ends before."""
    size = len(content)
    while at < size and (length := content[at]):
        at += 1 + length
    return at + 1 if at < size else None


def _missing_end(content: bytes, at: int) -> int:
    while at < len(content):
        at += 1 + content[at]
    if at != len(content):
        raise Damaged
    return at


def _loop(extension: bytes) -> bytes:
    """Return how often the animation is shown, when that is what the extension says."""
    if extension[2] == 11 and extension[3:14] in LOOPS and extension[14:16] == b"\3\1":
        return extension[:18] + b"\0"
    return b""
