"""The beginning of a WebSocket: its handshake is accepted, or answered as HTTP."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGISendEvent, WebSocketAcceptEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import Protocol, State

from server.calls import Header, call_of
from server.headers import DEFAULTS
from server.protocols.handshake import answer, proof_for, subprotocols_of
from server.protocols.refusals import Refusal, response
from server.protocols.turns import coming_of

# RFC 6455 §4.2.2: a handshake may be refused with any status of HTTP.
REFUSED = Refusal(403, "The WebSocket was refused", "FORBIDDEN")
FAILED = Refusal(500, "Internal error", "INTERNAL")

# Given the answer, what counts the connection off, and the bytes that came behind the handshake.
OnRefused = Callable[[bytes, Callable[[], None] | None, bytes], None]


class Opening(WebSocketsSansIOProtocol):
    """uvicorn's protocol, whose handshake was read as a request of HTTP.

    The library's own reading has other bounds than ours, and leaves some handshakes unanswered.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.leave: Callable[[], None] | None = None  # counts the connection off
        self._proof = ""
        self._refused: OnRefused | None = None  # until the handshake is answered
        self._denial: tuple[int, Sequence[Header], bytes] | None = None
        self._early = b""  # what came behind the handshake

    def _begin_frames(self) -> None:
        raise NotImplementedError

    def _pause_reading(self) -> None:
        if not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    def _offer_extensions(self) -> None:
        raise NotImplementedError

    def begin(
        self,
        url: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        rest: bytes,
        *,
        refused: OnRefused,
    ) -> None:
        """Begin with a sound handshake, and the bytes that came behind it.

        `refused` is called with the answer when the application does not want the WebSocket.
        """
        self._refused = refused
        self._early = rest
        self.conn.parser = Protocol.parse(self.conn)  # from behind the request on
        next(self.conn.parser)
        # RFC 9110 §5.5: white space around a value is none of it; httptools leaves what is behind.
        headers = [(name, value.strip(b" \t")) for name, value in headers]
        self._proof = proof_for(headers)
        parsed = httptools.parse_url(url)
        raw_path = parsed.path or b"/"
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": self.root_path,
            "path": self.root_path + unquote(raw_path.decode("latin-1")),
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": parsed.query or b"",
            "headers": headers,
            "subprotocols": subprotocols_of(headers),
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }
        self._offer_extensions()
        self.queue.put_nowait({"type": "websocket.connect"})
        coming_of(self.loop).add(self._run)

    def _run(self) -> None:
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    async def send(self, message: ASGISendEvent) -> None:
        """Answer the handshake; send the messages after it."""
        if self.handshake_complete:
            await super().send(message)
        elif self.disconnected:
            raise ClientDisconnected
        elif message["type"] == "websocket.accept":
            self._accept(message)
        elif message["type"] == "websocket.close":
            self._refuse(*REFUSED.answer)
        elif message["type"] == "websocket.http.response.start" and self._denial is None:
            self._denial = (message["status"], [*message.get("headers", ())], b"")
        elif message["type"] == "websocket.http.response.body" and self._denial is not None:
            status, headers, body = self._denial
            self._denial = (status, headers, body + message.get("body", b""))
            if not message.get("more_body", False):
                self._refuse(*self._denial)
        else:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r} in a handshake")

    def _accept(self, message: WebSocketAcceptEvent) -> None:
        self.logger.info(
            '%s:%d - "WebSocket %s" [accepted]', *(self.client or ("", 0)), self.scope["path"]
        )
        if self.transport.is_closing():
            return
        self.handshake_complete = True
        self._refused = None
        self.conn.state = State.OPEN
        always = (header for header in self.default_headers if header[0] != b"keep-alive")
        headers = [*always, *call_of(self.scope).headers, *message.get("headers", [])]
        self.transport.write(answer(self._proof, headers, message.get("subprotocol")))
        self.start_keepalive()
        self._begin_frames()

    def _refuse(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Answer as HTTP, and give the connection back: a request may wait behind this one."""
        refused, self._refused = self._refused, None
        self.handshake_complete = self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        if refused is None or self.transport.is_closing():
            return
        given = {name.lower() for name, _ in headers}
        length = (b"content-length", b"%d" % len(body))
        headers = [*headers, *call_of(self.scope).headers]
        own = [header for header in (length, *DEFAULTS) if header[0] not in given]
        told = response(status, [*self.default_headers, *headers, *own], body)
        self._resume_reading()
        self.connections.discard(self)
        self.disconnected = True
        leave, self.leave = self.leave, None
        refused(told, leave, self._early)
        self._early = b""
        self.scope["extensions"] = {}  # methods of ours: a closed connection must need no collector

    def send_500_response(self) -> None:
        """Say that it failed, where the handshake is still to be answered."""
        if not self.handshake_complete:
            self._refuse(*FAILED.answer)

    async def run_asgi(self) -> None:
        """Run the application; afterwards the connection ends, unless it went on with HTTP."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
            self.send_500_response()
        else:
            if not self.handshake_complete:
                self.logger.error("ASGI callable returned without completing handshake.")
                self.send_500_response()
        if self.close_timer is None and self in self.connections:
            self.transport.close()
