"""Rooms of Socket.IO clients, and events to all who are in one."""

from collections.abc import Callable, Hashable
from typing import Any

import socketio
from socketio import packet

from compat.packets import encode_packet


class PushManager(socketio.AsyncManager):  # type: ignore[misc]  # the library has no types
    """Rooms that push to their members at once: the library makes a task for each of them."""

    def __init__(self) -> None:
        super().__init__()
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

    # The library looks through every room of every client when one of them leaves.

    def basic_enter_room(
        self, sid: str, namespace: str, room: Hashable, eio_sid: str | None = None
    ) -> None:
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        self._rooms_of.setdefault(sid, set()).add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: Hashable) -> None:
        super().basic_leave_room(sid, namespace, room)
        self._rooms_of.get(sid, set()).discard(room)

    def get_rooms(self, sid: str, namespace: str) -> list[Hashable]:
        return [room for room in self._rooms_of.get(sid, ()) if room is not None]

    def basic_disconnect(self, sid: str, namespace: str, **_: object) -> None:
        for room in self._rooms_of.pop(sid, set()):
            super().basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            if sid in pending.get(namespace, ()):
                pending[namespace].remove(sid)
