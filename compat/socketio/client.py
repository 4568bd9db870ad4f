"""A client of the Socket.IO layer: its Engine.IO session, and its stay in the default namespace."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from socketio import packet

from compat.socketio.endings import DROPPED, NEVER_CONNECTED, REFUSED
from compat.socketio.engine_socket import EngineSocket
from compat.socketio.login_buffer import LoginBuffer
from compat.socketio.packets import EncodedEvent, StrictPacket, encode_packet
from server.calls import Call, call_of

MOST_WAITING = 4  # for a client that reads: a polling one fetches it with the next request


@dataclass(slots=True, eq=False)
class Client:
    """One Engine.IO session, whose client is in the default namespace or on its way there."""

    engine_socket: EngineSocket
    scope: Any  # of its first request; None once the client has connected
    slots: int  # how many more handlers may run
    socket: "Socket | None" = None  # while the client is in the namespace
    deadline: asyncio.TimerHandle | None = None  # for its CONNECT
    freed: asyncio.Future[None] | None = None  # its reader waits for a slot
    partial: StrictPacket | None = None  # waits for its attachments
    kept: Any = None  # what the application keeps, should the client leave and connect again
    call: Call = field(init=False)  # of its first request

    def __post_init__(self) -> None:
        self.call = call_of(self.scope)

    def wait_for_connect(self, seconds: float) -> None:
        """Give the client so long for its CONNECT."""
        loop = asyncio.get_running_loop()
        self.deadline = loop.call_later(seconds, self.engine_socket.end, NEVER_CONNECTED)

    def stop_waiting(self) -> None:
        """Wait no more for a CONNECT."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def free_slot(self) -> None:
        """Count a handler that has ended; wake the reader if it waits for that."""
        self.slots += 1
        if self.freed is not None and not self.freed.done():
            self.freed.set_result(None)

    async def slot(self) -> None:
        """Wait until another handler may run."""
        while not self.slots:
            self.freed = asyncio.get_running_loop().create_future()
            await self.freed


@dataclass(slots=True, eq=False)
class Socket:
    """A client's stay in the default namespace, from its CONNECT on. Handlers get it, and push."""

    client: Client
    sid: str
    buffer: LoginBuffer | None = field(init=False, default=None)  # None after the login

    @property
    def left(self) -> bool:
        """Whether the stay is over. The client may have begun another."""
        return self.client.socket is not self

    def push(self, encoded: EncodedEvent) -> bool:
        """Queue an event, in order, without a task; False if the client is gone or too slow."""
        return self.client.socket is self and self.client.engine_socket.push(encoded)

    def reads(self) -> bool:
        """Whether hardly anything waits for the client."""
        return not self.left and len(self.client.engine_socket.outbox) < MOST_WAITING

    async def half_read(self) -> bool:
        """Wait until the client has read half of what waits for it; False if it is gone."""
        await self.client.engine_socket.outbox.room.wait()
        return not self.left

    def drop(self) -> None:
        """Send what is queued, then close so that the client reconnects and resumes."""
        if not self.left:
            self.client.engine_socket.end(DROPPED)

    def refuse(self) -> None:
        """Send what is queued, then a Socket.IO DISCONNECT, and close: no reconnection."""
        if not self.left:
            self.push(encode_packet(packet.DISCONNECT))
            self.client.engine_socket.end(REFUSED)
