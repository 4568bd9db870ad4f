"""What the Socket.IO layer knows of one Engine.IO connection."""

import asyncio
from dataclasses import dataclass
from typing import Any

from compat.socketio.connection import Connection
from compat.socketio.endings import NEVER_CONNECTED
from compat.socketio.held import HeldEvents
from compat.socketio.outbox import Outbox
from compat.socketio.packets import StrictPacket


@dataclass(slots=True, eq=False)
class Client:
    """One connection, in the default namespace or on its way there."""

    connection: Connection
    environ: dict[str, Any]  # empty once it is connected, but for what its handler `kept`
    slots: int  # how many more handlers may run
    deadline: asyncio.TimerHandle | None = None  # for its CONNECT
    freed: asyncio.Future[None] | None = None  # its reader waits for a slot
    sid: str = ""  # empty until it asks to connect
    connecting: asyncio.Task[None] | None = None
    early: Outbox | None = None  # pushed while the connect handler runs
    partial: StrictPacket | None = None  # waits for its attachments
    held: HeldEvents | None = None  # what needs a login and came before it; none after it
    kept: object = None

    def wait_for_connect(self, seconds: float) -> None:
        """Give it so long for its CONNECT."""
        loop = asyncio.get_running_loop()
        self.deadline = loop.call_later(seconds, self.connection.end, NEVER_CONNECTED)

    def connected(self) -> None:
        """Wait no more for its CONNECT."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def free_slot(self) -> None:
        """Count a handler that has ended; its reader may wait for that."""
        self.slots += 1
        if self.freed is not None and not self.freed.done():
            self.freed.set_result(None)

    async def slot(self) -> None:
        """Wait until another handler may run."""
        while not self.slots:
            self.freed = asyncio.get_running_loop().create_future()
            await self.freed
