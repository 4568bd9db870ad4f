"""The Socket.IO server: python-socketio's, with every event in order and every queue bounded."""

import asyncio
import inspect
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import socketio
from socketio import packet
from socketio.exceptions import ConnectionRefusedError as Refused
from starlette.types import Receive, Scope, Send

from compat.socketio.client import Client
from compat.socketio.connection import Connection
from compat.socketio.encoding import EventEncoder
from compat.socketio.endings import DROPPED, REFUSED, RESTART, SLOW_READER
from compat.socketio.engine import EngineServer
from compat.socketio.held import HeldEvents
from compat.socketio.outbox import Outbox
from compat.socketio.packets import (
    NAMESPACE,
    BadPacket,
    EncodedEvent,
    Frame,
    StrictPacket,
    encode_packet,
)
from compat.socketio.rooms import PushManager
from compat.socketio.transports import forget_request

logger = logging.getLogger(__name__)

MOST_WAITING = 4  # for a client that reads: a polling one fetches it with the next request
_PLAIN_EVENT = str(packet.EVENT)  # how one without attachments begins
CLIENT_LEFT = "client namespace disconnect"  # for the disconnect handler, as the Node server says


class SocketServer(EventEncoder, socketio.AsyncServer):  # type: ignore[misc]  # the library has no types
    """Socket.IO 5 over polling and websocket, for handlers that take `(sid, *arguments)`.

    A client's handlers start in the order of its events, at most `in_flight` of them run, and an
    event named in `exclusive` ends before the next one starts. One named in `needs_login` is held,
    where `hold` was called for its client, until `admit` is. `connect` takes `(sid, environ,
    auth)`, and `disconnect` `(sid, reason)`. The environ is for the connect handler alone: neither
    it nor the headers are kept, and `get_environ` has none. A client that leaves the namespace and
    connects anew brings only what the handler put under `kept` in it.
    """

    eio: EngineServer

    def __init__(
        self,
        *,
        origins: Sequence[str],
        ping_interval: float = 25,
        ping_timeout: float = 20,
        max_payload: int = 1_000_000,
        queue_messages: int = 1000,
        queue_bytes: int = 4 * 1024 * 1024,
        connect_timeout: float = 45,
        send_timeout: float = 20,
        in_flight: int = 64,
        exclusive: frozenset[str] = frozenset(),
        needs_login: frozenset[str] = frozenset(),
        process: str = "",
    ) -> None:
        self._clients: dict[str, Client] = {}  # by Engine.IO id
        self._by_sid: dict[str, Client] = {}
        super().__init__(
            client_manager=PushManager(self._by_sid),
            serializer=StrictPacket,
            logger=logging.getLogger("socketio.server"),  # as for EngineServer
            origins=origins,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_payload=max_payload,
            queue_messages=queue_messages,
            queue_bytes=queue_bytes,
            send_timeout=send_timeout,
            process=process,
        )
        self.connect_timeout = connect_timeout
        self.in_flight = in_flight
        self.exclusive = exclusive
        self.needs_login = needs_login
        self._running: set[asyncio.Task[None]] = set()
        self.eio.take_now = self._take_now  # type: ignore[method-assign]  # the layer above knows
        self._accepting = asyncio.Event()
        self._accepting.set()

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application, for any path."""
        await self.eio.handle_request(scope, receive, send)

    # For the application.

    def push(self, sid: str, encoded: EncodedEvent) -> bool:
        """Queue an event for one client, in order, without a task; False if it is gone or full."""
        client = self._by_sid.get(sid)
        if client is None:
            return False
        if client.early is None:
            return client.connection.push(encoded)
        if client.connection.ending is None and not client.early.put(encoded):
            client.connection.end(SLOW_READER)
        return client.connection.ending is None

    def on_handler_error(self, sid: str, event: str, error: Exception) -> object | None:
        """What is acknowledged when a handler raised; override it."""
        return None

    def on_unclaimed(self, sid: str, event: str, result: object) -> None:
        """What a handler returned, when the client wants no acknowledgement; override it."""

    def reads(self, sid: str) -> bool:
        """Whether hardly anything waits for the client."""
        return sid in self._by_sid and len(self._by_sid[sid].connection.outbox) < MOST_WAITING

    def on_held_too_many(self, sid: str, event: str) -> object:
        """What answers an event that there is no room to hold; override it."""
        return None

    def hold(self, sid: str, held: HeldEvents) -> None:
        """Hold what needs a login, from now on; for the connect handler."""
        self._by_sid[sid].held = held

    def admit(self, sid: str) -> None:
        """Have what is held run, before whatever came after the event that is being handled."""
        client = self._by_sid.get(sid)
        if client is not None and client.held is not None:
            client.held.admitted = True

    def refuse_held(self, sid: str, answer: object) -> None:
        """Give each event that is held this answer, in order."""
        client = self._by_sid.get(sid)
        if client is not None and client.held is not None:
            while (received := client.held.take()) is not None:
                self._answer(client, received, answer)

    async def room(self, sid: str) -> bool:
        """Wait until the client has read half of what waits for it; False if it is gone."""
        client = self._by_sid.get(sid)
        if client is not None:
            await client.connection.half_read()
        return sid in self._by_sid

    def drop(self, sid: str) -> None:
        """Send what is queued, then close so that the client reconnects and resumes."""
        if (client := self._by_sid.get(sid)) is not None:
            client.connection.end(DROPPED)

    async def refuse(self, sid: str) -> None:
        """Send what is queued, then a Socket.IO DISCONNECT, and close: no reconnection."""
        client = self._by_sid.get(sid)
        if client is not None:
            client.connection.push(encode_packet(packet.DISCONNECT))
            client.connection.end(REFUSED)

    async def disconnect(
        self, sid: str, namespace: str | None = None, ignore_queue: bool = False
    ) -> None:
        """As `refuse`: the library's leaves the Engine.IO connection open."""
        await self.refuse(sid)

    async def drain(self, timeout: float) -> None:
        """Refuse new clients, start no handler, let those that run end, then close all."""
        self.eio.draining = True
        self._accepting.clear()
        if self._running:
            await asyncio.wait(self._running, timeout=timeout)
        await self.eio.end_all(RESTART)

    # From Engine.IO.

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        client = Client(self.eio.sockets[eio_sid], environ, self.in_flight)
        client.wait_for_connect(self.connect_timeout)
        self._clients[eio_sid] = client

    async def _handle_eio_message(self, eio_sid: str, data: Frame) -> None:
        """Read a packet and act on it; `BadPacket` ends the connection, without a traceback."""
        client = self._clients[eio_sid]
        if client.partial is not None:
            if isinstance(data, str):
                raise BadPacket("text where an attachment was announced")
            received = client.partial
            if sum(map(len, received.attachments)) + len(data) > self.eio.max_payload:
                raise BadPacket("attachments are too large")
            if not received.add_attachment(data):
                return
            client.partial = None
        else:
            if isinstance(data, bytes) or not data:
                raise BadPacket("empty, or an attachment that was not announced")
            received = StrictPacket(encoded_packet=data)
            if received.packet_type == packet.CONNECT:
                await self._handle_connect_packet(client, received)
                return
            if not client.sid or received.namespace != NAMESPACE:
                raise BadPacket("not connected to the namespace")
            if client.held is not None:
                received.text = data
            if received.attachment_count:
                client.partial = received
                return
        await self._handle_packet(client, received)

    async def _handle_packet(self, client: Client, received: StrictPacket) -> None:
        if received.packet_type == packet.DISCONNECT:
            await self._leave(client)
        elif received.packet_type in (packet.EVENT, packet.BINARY_EVENT):
            if client.held is not None and received.data[0] in self.needs_login:
                await self._hold_event(client, client.held, received)
            else:
                await self._start_event(client, received)
        else:
            # The library takes the id 0 for its counter of ids, and calls it.
            if not received.id or received.id not in self.manager.callbacks.get(client.sid, {}):
                raise BadPacket("acknowledgement of nothing")
            try:
                await self.manager.trigger_callback(client.sid, received.id, received.data)
            except Exception:
                logger.exception("callback failed")

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        client = self._clients[eio_sid]
        client.connected()
        if client.connecting is not None:
            await asyncio.wait({client.connecting})
        try:
            await self._end_session(client, reason)
        finally:
            del self._clients[eio_sid]

    # CONNECT and DISCONNECT.

    async def _handle_connect_packet(self, client: Client, received: StrictPacket) -> None:
        if received.namespace != NAMESPACE:
            # The library sends a text, which JavaScript clients show as an empty message.
            error = {"message": "Invalid namespace"}
            client.connection.push(
                encode_packet(packet.CONNECT_ERROR, error, None, received.namespace)
            )
            return
        if client.sid:
            raise BadPacket("two CONNECTs")
        await self._accepting.wait()
        connecting = self._connect(client, received.data)
        if not inspect.iscoroutinefunction(self.handlers.get(NAMESPACE, {}).get("connect")):
            await connecting  # which does not wait for anything
            return
        client.connecting = self._start(connecting)
        await asyncio.wait({client.connecting})
        client.connecting = None

    async def _connect(self, client: Client, auth: dict[str, object] | None) -> None:
        """Ask the connect handler; what it emits goes out after CONNECT, as clients expect."""
        sid = client.sid = self.eio.generate_id()
        self._by_sid[sid] = client
        early = client.early = Outbox(self.eio.queue_messages, self.eio.queue_bytes)
        refusal: object = {"message": "Connection rejected by server"}
        accepted = False
        try:
            accepted = await self._call("connect", sid, client.environ, auth) is not False
        except Refused as error:
            refusal = error.error_args
        except Exception:
            logger.exception("connect handler failed")
        client.early = None
        if not accepted:
            self._forget(sid)
            client.sid = ""
            client.connection.push(encode_packet(packet.CONNECT_ERROR, refusal))
            return
        client.connected()
        if (scope := client.environ.get("asgi.scope")) is not None:
            forget_request(scope)
        client.kept = client.environ.get("kept")
        client.environ = {}
        client.connection.push(encode_packet(packet.CONNECT, {"sid": sid}))
        while encoded := early.take():
            client.connection.push(encoded)

    async def _leave(self, client: Client) -> None:
        """Leave the namespace; the connection stays, and its client may CONNECT again."""
        client.environ = {"kept": client.kept}
        client.wait_for_connect(self.connect_timeout)
        # A task: the events before it, whose tasks are made already, are still this client's.
        await asyncio.wait({self._start(self._end_session(client, CLIENT_LEFT))})

    async def _end_session(self, client: Client, reason: str) -> None:
        sid, client.sid = client.sid, ""
        if not sid:
            return
        try:
            await self._call("disconnect", sid, reason)
        except Exception:
            logger.exception("disconnect handler failed")
        finally:
            self._forget(sid)

    def _forget(self, sid: str) -> None:
        held = self._by_sid.pop(sid).held
        if held is not None:
            held.clear()
        self.manager.basic_disconnect(sid, NAMESPACE)

    # Events.

    def _take_now(self, connection: Connection, data: str) -> bool:
        """Start an event's handler as it arrives, if nothing has to be waited for."""
        client = self._clients[connection.sid]
        if not client.sid or client.partial is not None or not data.startswith(_PLAIN_EVENT):
            return False
        if client.held is not None:
            return False
        if not (client.slots and connection.has_room() and self._accepting.is_set()):
            return False
        try:
            received = StrictPacket(encoded_packet=data)
        except BadPacket:
            return False
        if received.namespace != NAMESPACE or received.data[0] in self.exclusive:
            return False
        self._begin_event(client, received)
        return True

    async def _start_event(self, client: Client, received: StrictPacket) -> None:
        """Start its handler once the client has room and a slot; until then read nothing more."""
        await client.connection.room()
        await client.slot()
        await self._accepting.wait()
        if client.connection.ending is not None:
            return
        task = self._begin_event(client, received)
        if received.data[0] in self.exclusive:
            await asyncio.wait({task})
            await self._start_held(client)

    async def _hold_event(self, client: Client, held: HeldEvents, received: StrictPacket) -> None:
        if held.expired:
            await self._start_event(client, received)
        elif not held.put(received):
            self._answer(client, received, self.on_held_too_many(client.sid, received.data[0]))

    async def _start_held(self, client: Client) -> None:
        """Start what was held for a login that has succeeded; whatever came since waits."""
        held = client.held
        if held is None or not held.admitted:
            return
        while client.connection.ending is None and (received := held.take()) is not None:
            await self._start_event(client, received)
        held.clear()
        client.held = None

    def _begin_event(self, client: Client, received: StrictPacket) -> asyncio.Task[None]:
        client.slots -= 1
        return self._start(self._run_event(client, client.sid, received))

    async def _run_event(self, client: Client, sid: str, received: StrictPacket) -> None:
        event = received.data[0]
        try:
            result = await self._call(event, sid, *received.data[1:])
        except Exception as error:
            logger.exception("handler of %s failed", event)
            result = self.on_handler_error(sid, event, error)
        finally:
            client.free_slot()
        if result is not self.not_handled and client.sid == sid:  # it has not left meanwhile
            self._answer(client, received, result)

    def _answer(self, client: Client, received: StrictPacket, result: object) -> None:
        if received.id is None:
            self.on_unclaimed(client.sid, received.data[0], result)
        else:
            client.connection.push(self.encode_acknowledgement(result, received.id))

    async def _call(self, event: str, *args: object) -> Any:
        """Run a handler. The library's swallows cancellation and tries again on a TypeError."""
        handler, args = self._get_event_handler(event, NAMESPACE, args)
        if handler is None:
            return self.not_handled
        result = handler(*args)
        return await result if inspect.isawaitable(result) else result

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task of its own: a connection that ends stops its reader, never a handler midway."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a handler's task failed", exc_info=task.exception())
