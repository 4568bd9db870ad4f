"""What the C library does with the memory of large messages once they are gone."""

import contextlib
import ctypes

# glibc's <malloc.h>. Blocks from so many bytes on are asked of the system and given back to it.
_M_MMAP_THRESHOLD = -3
LARGE_BLOCK_BYTES = 256 * 1024


def give_back_large_blocks() -> None:
    """Give the memory of large bodies and messages back to the system when they are gone.

    glibc raises that threshold to 32 MiB by itself, and then keeps hundreds of megabytes after a
    flood of bodies of a megabyte each. Other C libraries have no such function.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
