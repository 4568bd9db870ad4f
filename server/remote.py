"""The remote end of a request or connection, as its ASGI scope tells."""

from collections.abc import Iterable, Mapping
from typing import Any

from server.calls import call_of


class Remote:
    """What an ASGI scope says of who sent it; read when asked."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._scope = scope

    @property
    def address(self) -> str:
        """The address that is connected to us; empty when it is not known."""
        client = self._scope.get("client")
        return client[0] if client else ""

    @property
    def forwarded(self) -> Iterable[bytes]:
        """What each `X-Forwarded-For` says."""
        return self._values(b"x-forwarded-for")

    @property
    def agent(self) -> bytes:
        """What the `User-Agent` says; empty when there is none."""
        return next(iter(self._values(b"user-agent")), b"")

    @property
    def request_id(self) -> str:
        """The name of the request, or of the connection: the client's own, or one of ours."""
        return call_of(self._scope).request_id

    def _values(self, wanted: bytes) -> Iterable[bytes]:
        return (value for name, value in self._scope["headers"] if name == wanted)
