"""What polling and the websocket share, and a shorter way to use a websocket."""

from collections.abc import Callable
from typing import NamedTuple

from starlette.types import Receive, Scope

from compat.socketio.packets import BadPacket, Frame

# What ASGI servers raise when a websocket is sent to that is closed.
CLOSED = (OSError, RuntimeError)


class Direct(NamedTuple):
    """How to use a websocket without a task and without waiting (server/protocols/websocket.py)."""

    write: Callable[[bytes], None]  # a text in UTF-8, while `writable`
    writable: Callable[[], bool]
    listen: Callable[[Callable[[str], bool]], None]  # be called with each text as it arrives

    @classmethod
    def of(cls, scope: Scope) -> "Direct | None":
        """Return it, where the server offers it: only ours does."""
        extensions = scope.get("extensions", {})
        if "parley.write" not in extensions:
            return None
        writing = extensions["parley.write"]
        return cls(writing["write"], writing["writable"], extensions["parley.read"]["listen"])


def abort_of(scope: Scope) -> Callable[[], object]:
    """Return how to cut the transport of a peer that does not read; only our server offers it."""
    extension = scope.get("extensions", {}).get("parley.abort", {})
    abort: Callable[[], object] = extension.get("abort", lambda: None)
    return abort


def forget_request(scope: Scope) -> None:
    """Forget what only the opening of a websocket needs: an idle one would keep it."""
    scope["headers"] = []
    scope["extensions"] = {}


async def next_frame(receive: Receive) -> Frame | None:
    """Return the next websocket message; None after the last one."""
    message = await receive()
    if message["type"] != "websocket.receive":
        return None
    text: str | None = message.get("text")
    return text if text is not None else bytes(message["bytes"])


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """Return the whole body; None if more than the limit arrives, whatever Content-Length says."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            body.clear()  # the error's traceback keeps it until the garbage collector runs
            raise BadPacket("cut short")
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)
