"""Signed addresses of attachments, for what can send no token: `<img>`, `<audio>`, a download.

Whoever has one can open that one attachment until it expires, and nothing else.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import NamedTuple

# Apart from what else is signed with the same secret.
PURPOSE = b"parley file address"
# The moment of expiry is rounded up to a part of the lifetime, so that an address stays the same
# for a while and a browser finds in its cache what it has.
ROUNDING = 4


class Part(NamedTuple):
    """What of an attachment is meant: its content, or the small picture of it."""

    attachment_id: int
    thumbnail: bool = False

    @property
    def path(self) -> str:
        """Where it is served."""
        return f"/files/{self.attachment_id}{'/thumbnail' if self.thumbnail else ''}"


class FileUrls:
    """Makes and checks the addresses; `base` is put before them, `https://chat.example` say."""

    def __init__(self, secret: str, *, lifetime_seconds: int, base: str = "") -> None:
        self._key = hmac.digest(secret.encode(), PURPOSE, hashlib.sha256)
        self._lifetime = lifetime_seconds
        self._step = max(1, lifetime_seconds // ROUNDING)
        self._base = base.rstrip("/")

    def url(self, part: Part) -> str:
        """Return an address that is good for the lifetime, or up to a quarter longer."""
        expires = (int(time.time()) // self._step + 1) * self._step + self._lifetime
        signature = self._signature(part, str(expires))
        return f"{self._base}{part.path}?expires={expires}&signature={signature}"

    def seconds_left(self, part: Part, parameters: Mapping[str, str]) -> int | None:
        """Return for how long these parameters still open this; None when they do not."""
        expires = parameters.get("expires", "")
        expected = self._signature(part, expires)
        if not hmac.compare_digest(
            expected.encode(), parameters.get("signature", "").encode(errors="replace")
        ):
            return None
        left = int(expires) - int(time.time())  # signed, so it is a number of ours
        return left if left > 0 else None

    def _signature(self, part: Part, expires: str) -> str:
        signed = f"{part.path}?{expires}".encode(errors="replace")
        digest = hmac.digest(self._key, signed, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
