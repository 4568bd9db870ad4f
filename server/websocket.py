"""uvicorn's WebSocket protocol, able to end a connection whose peer does not read."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request


class AbortableWebSocket(WebSocketsSansIOProtocol):
    """Adds the ASGI extension `parley.abort`, and uses it where uvicorn would wait without end.

    uvicorn closes a connection with `transport.close()`, which waits for its buffer to drain: that
    of a peer that has stopped reading never does.
    """

    def handle_connect(self, event: Request) -> None:
        """Offer the extension to the application."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was sound
            extensions: dict[object, object] = self.scope["extensions"]  # type: ignore[assignment]  # the ASGI type closes the dict
            extensions["parley.abort"] = {"abort": self._abort}

    def shutdown(self) -> None:
        """End the connection, but not one that is being closed and waits for the peer's reply.

        uvicorn would end that at once: a peer still sending gets a reset, which throws away the
        answers, and the reason of the close, that it has not read yet.
        """
        if self.close_timer is None:
            super().shutdown()

    def keepalive_timeout(self) -> None:
        """End a connection whose peer has not answered a ping in time."""
        super().keepalive_timeout()
        self._abort()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
