"""Signed addresses of attachments, for clients that send no token: `<img>`, `<audio>`, a download.

A signed address opens one attachment until it expires, and nothing else.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import NamedTuple

from itsdangerous import Signer

# Keeps these signatures apart from others that are made with the same secret.
PURPOSE = b"parley file address"
# The time of expiry is rounded up to this part of the lifetime, so that an address stays the same
# for a while, and the browser's cache knows it.
ROUNDING = 4


class Part(NamedTuple):
    """The content of an attachment, or its thumbnail."""

    attachment_id: int
    thumbnail: bool = False

    @property
    def path(self) -> str:
        """The path of its address."""
        return f"/files/{self.attachment_id}{'/thumbnail' if self.thumbnail else ''}"


class FileUrls:
    """Makes and checks the addresses; `base` stands before them, such as `https://chat.example`."""

    def __init__(self, secret: str, *, lifetime_seconds: int, base: str = "") -> None:
        self._signer = Signer(
            secret, salt=PURPOSE, key_derivation="hmac", digest_method=hashlib.sha256
        )
        self._lifetime = lifetime_seconds
        self._step = max(1, lifetime_seconds // ROUNDING)
        self._base = base.rstrip("/")

    def url(self, part: Part) -> str:
        """Return an address that is good for the lifetime, or up to a quarter longer."""
        expires = (int(time.time()) // self._step + 1) * self._step + self._lifetime
        signature = self._signature(part, str(expires))
        return f"{self._base}{part.path}?expires={expires}&signature={signature}"

    def public(self, path: str) -> str:
        """Return the address of what everybody may open who has its path."""
        return f"{self._base}{path}"

    def seconds_left(self, part: Part, parameters: Mapping[str, str]) -> int | None:
        """Return how many seconds these parameters still open the part; None if they do not."""
        expires = parameters.get("expires", "")
        expected = self._signature(part, expires)
        # Not by `verify_signature`, which takes several spellings of one signature.
        if not hmac.compare_digest(
            expected.encode(), parameters.get("signature", "").encode(errors="replace")
        ):
            return None
        left = int(expires) - int(time.time())  # signed, so it is a number of ours
        return left if left > 0 else None

    def _signature(self, part: Part, expires: str) -> str:
        signed = f"{part.path}?{expires}".encode(errors="replace")
        return self._signer.get_signature(signed).decode()
