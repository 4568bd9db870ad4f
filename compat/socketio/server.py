"""The Socket.IO server: every event in order, every queue bounded."""

import asyncio
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

from socketio import packet
from starlette.types import Receive, Scope, Send

from compat.socketio.client import Client, Socket
from compat.socketio.endings import RESTART
from compat.socketio.engine import EngineServer, new_id
from compat.socketio.engine_socket import EngineSocket
from compat.socketio.login_buffer import LoginBuffer
from compat.socketio.options import Options
from compat.socketio.packets import (
    NAMESPACE,
    BadPacket,
    EncodedEvent,
    Frame,
    StrictPacket,
    encode_acknowledgement,
    encode_packet,
)
from compat.socketio.transports import forget_request
from resolvers.pending import Pending
from server.calls import current

logger = logging.getLogger(__name__)

_PLAIN_EVENT = str(packet.EVENT)  # how an event without attachments begins
CLIENT_LEFT = "client namespace disconnect"  # the reason that the Node server gives


class SocketServer(ABC):
    """Socket.IO 5 over polling and websocket. A subclass says what its clients may do.

    A handler of an event takes `(socket, *arguments)`. It returns its acknowledgement, or a
    coroutine or a Pending that brings it. A client's handlers start in the order of its events, at
    most `in_flight` of them run, and an event of `exclusive` ends before the next one starts. An
    event of `needs_login` waits in the socket's buffer, where it has one, until that is admitted.

    python-socketio's own server is not used: it runs one client's events side by side, queues
    without a bound, and logs a traceback for each bad packet. Only its packets are
    (compat/socketio/packets.py).
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.engine = EngineServer(self, options)
        self._handlers: dict[str, Callable[..., Any]] = {}
        self._running: set[asyncio.Future[Any]] = set()
        self._accepting = asyncio.Event()
        self._accepting.set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request or websocket, at any path."""
        return self.engine.handle_request(scope, receive, send)

    def on(self, event: str, handler: Callable[..., Any]) -> None:
        """Call the handler with each event of this name, and answer with what it returns."""
        self._handlers[event] = handler

    async def drain(self, timeout: float) -> None:
        """Refuse new clients, start no handler, let those that run end, then close all."""
        self.engine.draining = True
        self._accepting.clear()
        if self._running:
            await asyncio.wait(self._running, timeout=timeout)
        await self.engine.end_all(RESTART)

    # What a subclass overrides.

    def has_room(self, scope: Scope) -> bool:
        """Whether the caller's address may open another session."""
        return True

    def count(self, scope: Scope) -> Callable[[], None]:
        """Count a session for the caller's address; return how to count it off."""
        return lambda: None

    def on_connect(self, client: Client, sid: str, auth: object) -> Socket:
        """Return the socket of a client that connects. Its scope, and headers, are not kept."""
        return Socket(client, sid)

    def on_disconnect(self, socket: Socket, reason: str) -> None:  # noqa: B027  # optional
        """Forget a client that has left."""

    @abstractmethod
    def on_handler_error(self, socket: Socket, event: str, error: Exception) -> object:
        """Return the acknowledgement when a handler raised."""

    def on_handled(  # noqa: B027  # optional
        self, socket: Socket, event: str, started_at: float, error: Exception | None
    ) -> None:
        """Act on the end of a handler; `started_at` is of `perf_counter`."""

    def on_unclaimed(self, socket: Socket, result: object) -> None:  # noqa: B027  # optional
        """Act on what a handler returned, when the client wants no acknowledgement."""

    @abstractmethod
    def on_buffer_full(self, socket: Socket) -> object:
        """Return the acknowledgement of an event for which the login buffer has no room."""

    def encode_acknowledgement(self, number: int, result: object) -> EncodedEvent:
        """Encode what a handler returned; override it where that may hold bytes."""
        return encode_acknowledgement(number, result)

    # From Engine.IO.

    def on_open(self, engine_socket: EngineSocket, scope: Scope) -> None:
        """Wait for the client's CONNECT."""
        client = engine_socket.client = Client(engine_socket, scope, self.options.in_flight)
        client.wait_for_connect(self.options.connect_timeout)

    def on_close(self, engine_socket: EngineSocket, reason: str) -> None:
        """Forget the client."""
        client, engine_socket.client = engine_socket.client, None
        client.stop_waiting()
        self._end_stay(client, reason)

    async def on_message(self, engine_socket: EngineSocket, data: Frame) -> None:
        """Read a packet and act on it; `BadPacket` ends the session, without a traceback."""
        client: Client = engine_socket.client
        received = client.partial
        if received is not None:
            if isinstance(data, str):
                raise BadPacket("text where an attachment was announced")
            if sum(map(len, received.attachments)) + len(data) > self.options.max_payload:
                raise BadPacket("attachments are too large")
            if not received.add_attachment(data):
                return
            client.partial = None
        else:
            if isinstance(data, bytes) or not data:
                raise BadPacket("empty, or an attachment that was not announced")
            received = StrictPacket(encoded_packet=data)
            if received.packet_type == packet.CONNECT:
                await self._connect(client, received)
                return
            if client.socket is None or received.namespace != NAMESPACE:
                raise BadPacket("not connected to the namespace")
            if received.attachment_count:
                client.partial = received
                return
        if received.packet_type == packet.DISCONNECT:
            self._end_stay(client, CLIENT_LEFT)
            client.wait_for_connect(self.options.connect_timeout)
        elif received.packet_type in (packet.EVENT, packet.BINARY_EVENT):
            assert client.socket is not None  # noqa: S101  # it was there when the event began
            buffer = client.socket.buffer
            if buffer is None or buffer.expired or received.data[0] not in self.options.needs_login:
                await self._start_event(client.socket, received)
            elif not buffer.put(received):
                self._answer(client.socket, received, self.on_buffer_full(client.socket))
        else:  # this server asks for no acknowledgement
            raise BadPacket("acknowledgement of nothing")

    def handle_now(self, engine_socket: EngineSocket, data: str) -> bool:
        """Start an event's handler as it arrives, if nothing has to be waited for."""
        client: Client = engine_socket.client
        socket = client.socket
        if socket is None or client.partial is not None or not data.startswith(_PLAIN_EVENT):
            return False
        if socket.buffer is not None:
            return False
        if not (client.slots and engine_socket.outbox.room.is_set() and self._accepting.is_set()):
            return False
        try:
            received = StrictPacket(encoded_packet=data)
        except BadPacket:
            return False
        if received.namespace != NAMESPACE or received.data[0] in self.options.exclusive:
            return False
        self._call(socket, received)
        return True

    # CONNECT and DISCONNECT.

    async def _connect(self, client: Client, received: StrictPacket) -> None:
        if received.namespace != NAMESPACE:
            # The library sends a text, which JavaScript clients show as an empty message.
            error = {"message": "Invalid namespace"}
            refusal = encode_packet(packet.CONNECT_ERROR, error, None, received.namespace)
            client.engine_socket.push(refusal)
            return
        if client.socket is not None:
            raise BadPacket("two CONNECTs")
        await self._accepting.wait()
        client.stop_waiting()
        sid = new_id()
        client.socket = self.on_connect(client, sid, received.data)
        if client.scope is not None:
            forget_request(client.scope)
            client.scope = None
        client.socket.push(encode_packet(packet.CONNECT, {"sid": sid}))

    def _end_stay(self, client: Client, reason: str) -> None:
        """Have the client out of the namespace; the session stays, and may CONNECT again."""
        socket, client.socket = client.socket, None
        if socket is not None:
            if socket.buffer is not None:
                socket.buffer.clear()
                socket.buffer = None
            self.on_disconnect(socket, reason)

    # Events.

    async def _start_event(self, socket: Socket, received: StrictPacket) -> None:
        """Start its handler once the client has room and a slot; until then read nothing more."""
        client = socket.client
        await client.engine_socket.wait_for_room()
        await client.slot()
        await self._accepting.wait()
        if client.engine_socket.ending is not None:
            return
        running = self._call(socket, received)
        if received.data[0] in self.options.exclusive:
            if running is not None:
                await asyncio.wait({running})
            if socket.buffer is not None and socket.buffer.admitted:
                await self._start_buffered(socket, socket.buffer)

    async def _start_buffered(self, socket: Socket, buffer: LoginBuffer) -> None:
        """Start what waited for a login that has succeeded; later events wait behind it."""
        while socket.client.engine_socket.ending is None and (received := buffer.pop()) is not None:
            await self._start_event(socket, received)
        buffer.clear()
        socket.buffer = None

    def answer_buffered(self, socket: Socket, answer: object) -> None:
        """Give each event in the login buffer this answer, in order; none of them runs."""
        while socket.buffer is not None and (received := socket.buffer.pop()) is not None:
            self._answer(socket, received, answer)

    def _call(self, socket: Socket, received: StrictPacket) -> asyncio.Future[Any] | None:
        """Call the event's handler; return the future that it waits for, unless it has ended."""
        event = received.data[0]
        handler = self._handlers.get(event)
        if handler is None:
            return None
        started_at = perf_counter()
        serving = current.set((socket.client.call, event))
        try:
            result = handler(socket, *received.data[1:])
            if inspect.iscoroutine(result):
                # A task of its own: a session that ends stops its reader, never a handler midway.
                result = Pending.of(asyncio.create_task(result))
        except Exception as error:  # the border: the client hears in its form
            self.on_handled(socket, event, started_at, error)
            self._answer(socket, received, self.on_handler_error(socket, event, error))
            return None
        finally:
            current.reset(serving)
        if not isinstance(result, Pending):
            self.on_handled(socket, event, started_at, None)
            self._answer(socket, received, result)
            return None
        socket.client.slots -= 1
        self._running.add(result.future)
        finish = partial(self._finish, socket, received, started_at, result)
        result.future.add_done_callback(finish)
        return result.future

    def _finish(
        self,
        socket: Socket,
        received: StrictPacket,
        started_at: float,
        pending: Pending[Any],
        future: asyncio.Future[Any],
    ) -> None:
        self._running.discard(future)
        socket.client.free_slot()
        if future.cancelled():
            return
        event = received.data[0]
        try:
            result = pending.result()
        except Exception as error:  # the border: the client hears in its form
            self.on_handled(socket, event, started_at, error)
            result = self.on_handler_error(socket, event, error)
        else:
            self.on_handled(socket, event, started_at, None)
        self._answer(socket, received, result)

    def _answer(self, socket: Socket, received: StrictPacket, result: object) -> None:
        if socket.left:
            return
        if received.id is None:
            self.on_unclaimed(socket, result)
        else:
            socket.push(self.encode_acknowledgement(received.id, result))
