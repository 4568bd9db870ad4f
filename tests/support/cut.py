"""A TCP proxy before a server that can be cut, as a network is: clients need no part in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.ports import free_port

CHUNK_BYTES = 65536


class CuttableProxy:
    """Passes connections on until it is cut."""

    def __init__(self, upstream: int) -> None:
        self.port = free_port()
        self._upstream = upstream
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._answering = True

    @property
    def url(self) -> str:
        """Where clients reach the server through it."""
        return f"http://127.0.0.1:{self.port}"

    def lead_to(self, upstream: int) -> None:
        """Pass new connections on to the server on this port."""
        self._upstream = upstream

    async def heal(self) -> None:
        """Take connections, and pass everything on."""
        self._answering = True
        self._listener = await asyncio.start_server(self._connect, "127.0.0.1", self.port)

    def hold_answers(self) -> None:
        """From now on drop what the server says; what clients say still arrives."""
        self._answering = False

    async def cut(self) -> None:
        """End every connection without a close, and refuse new ones."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._pass_on(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._copy(reader, upstream))
                ways.create_task(self._copy(upstream_reader, writer, held=True))
        finally:
            writer.transport.abort()
            upstream.transport.abort()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool = False
    ) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(CHUNK_BYTES):
                if held and not self._answering:
                    continue
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()  # whoever hung up, both are gone


@asynccontextmanager
async def cuttable(port: int) -> AsyncIterator[CuttableProxy]:
    """A proxy before the server on this port."""
    proxy = CuttableProxy(port)
    await proxy.heal()
    try:
        yield proxy
    finally:
        await proxy.cut()
