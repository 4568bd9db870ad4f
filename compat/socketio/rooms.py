"""Rooms of Socket.IO clients, and events to all who are in one."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Protocol

import socketio
from socketio import packet

from compat.socketio.connection import Connection
from compat.socketio.packets import NAMESPACE, encode_packet


class Member(Protocol):
    """A client of the Socket.IO server."""

    connection: Connection


class PushManager(socketio.AsyncManager):  # type: ignore[misc]  # the library has no types
    """Rooms that push to their members at once: the library makes a task for each of them.

    Everybody is alone in the room of their own id, and all are in the room None. For these the
    library keeps a kilobyte of tables a client, and looks through every room of every client when
    one of them leaves; here they are the server's own `clients`.
    """

    def __init__(self, clients: Mapping[str, Member]) -> None:
        super().__init__()
        self._clients = clients
        self._members: dict[Hashable, set[str]] = {}  # of the rooms that were entered
        self._rooms_of: dict[str, set[Hashable]] = {}

    async def emit(
        self,
        event: str,
        data: object,
        namespace: str,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        callback: Callable[..., object] | None = None,
        to: Any = None,
        **_: object,
    ) -> None:
        args = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        encoded = encode_packet(packet.EVENT, [event, *args])
        for sid, _eio_sid in self.get_participants(namespace, to or room):
            if sid in skipped:
                continue
            if callback is not None:  # each recipient acknowledges under an id of its own
                number = self._generate_ack_id(sid, callback)
                encoded = encode_packet(packet.EVENT, [event, *args], number)
            self.server.push(sid, encoded)

    # What the library's own methods ask.

    def get_namespaces(self) -> list[str]:
        return [NAMESPACE]

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """The ids, and those of Engine.IO, of all who are in the room, or in one of several."""
        rooms = room if hasattr(room, "__len__") and not isinstance(room, str) else [room]
        sids: dict[str, None] = {}
        for one in rooms if namespace == NAMESPACE else ():
            if one is None:
                sids.update(dict.fromkeys(self._clients))
            elif self.is_sid_room(namespace, one):
                sids[one] = None
            else:
                sids.update(dict.fromkeys(self._members.get(one, ())))
        for sid in sids:
            if (client := self._clients.get(sid)) is not None:
                yield sid, client.connection.sid

    def is_connected(self, sid: str, namespace: str) -> bool:
        return self.eio_sid_from_sid(sid, namespace) is not None

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        client = self._clients.get(sid) if namespace == NAMESPACE else None
        return None if client is None else client.connection.sid

    def is_sid_room(self, namespace: str, room: Hashable) -> bool:
        return namespace == NAMESPACE and room in self._clients

    def get_rooms(self, sid: str, namespace: str) -> list[Hashable]:
        if not self.is_connected(sid, namespace):
            return []
        return [sid, *self._rooms_of.get(sid, ())]

    def basic_enter_room(
        self, sid: str, namespace: str, room: Hashable, eio_sid: str | None = None
    ) -> None:
        if not self.is_connected(sid, namespace):
            raise ValueError("sid is not connected to requested namespace")
        if sid == room:
            return
        if room is None or self.is_sid_room(namespace, room):
            raise ValueError("cannot enter a sid room")
        self._members.setdefault(room, set()).add(sid)
        self._rooms_of.setdefault(sid, set()).add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: Hashable) -> None:
        members, rooms = self._members.get(room), self._rooms_of.get(sid)
        if members is None or rooms is None or sid not in members:
            return
        members.discard(sid)
        rooms.discard(room)
        if not members:
            del self._members[room]
        if not rooms:
            del self._rooms_of[sid]

    def basic_close_room(self, room: Hashable, namespace: str) -> None:
        if room is None or self.is_sid_room(namespace, room):
            raise ValueError("cannot close a sid room")
        for sid in [*self._members.get(room, ())]:
            self.basic_leave_room(sid, namespace, room)

    def basic_disconnect(self, sid: str, namespace: str, **_: object) -> None:
        for room in [*self._rooms_of.get(sid, ())]:
            self.basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
