"""What a connection reads from its two transports, and a shorter way to use one of them."""

from collections.abc import Callable
from typing import NamedTuple

from starlette.types import Receive, Scope

from compat.socketio.packets import BadPacket, Frame


class Direct(NamedTuple):
    """How to write to a websocket at once, in UTF-8, while it is writable; and to be called with
    what comes from it."""

    write: Callable[[bytes], None]
    writable: Callable[[], bool]
    listen: Callable[[Callable[[str], bool]], None]


def forget_request(scope: Scope) -> None:
    """Let go of what only the opening of a websocket needs, which an idle one would keep."""
    scope["headers"] = []
    scope["extensions"] = {}


async def next_frame(receive: Receive) -> Frame | None:
    """The next websocket message; None after the last one."""
    message = await receive()
    if message["type"] != "websocket.receive":
        return None
    text: str | None = message.get("text")
    return text if text is not None else bytes(message["bytes"])


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body by what arrives, whatever Content-Length says; None if over the limit."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            body.clear()  # the error's traceback holds it, for as long as nobody looks for cycles
            raise BadPacket("cut short")
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)
