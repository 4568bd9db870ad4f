"""One WebSocket that speaks graphql-transport-ws (graphql-ws, PROTOCOL.md)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, aclosing
from functools import partial
from typing import Any

import msgspec
from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect

from events.subscription import SubscriberTooSlow
from resolvers.auth import identify
from resolvers.context import Context
from resolvers.errors import ParleyError, RateLimited
from resolvers.presence import hold_presence
from resolvers.sessions import hold_session
from schema import wire
from schema.operations import EventLost, Operation, Operations, RequestRefused, refusal
from schema.wire import CloseCode

logger = logging.getLogger("parley.graphql")

# RFC 6455 §5.5: a control frame carries 125 bytes, two of them the code.
MAX_REASON_BYTES = 123
# How long a close frame may wait for a peer that does not read.
CLOSE_SECONDS = 5
# How long the answers in flight may take when the session ends: the mutation that ended it is one.
END_SECONDS = 0.25
# Queries and mutations that one connection may have running.
MAX_IN_FLIGHT = 100


class GraphQLSocket:
    """Serves one accepted connection until either side closes it."""

    def __init__(self, ctx: Context, operations: Operations, websocket: WebSocket) -> None:
        self._ctx = ctx
        self._operations = operations
        self._websocket = websocket
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._streams: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._freed: asyncio.Future[None] | None = None  # waits until another one may begin
        self._receiving = False
        self._initialised = False
        self._acknowledged = False
        self._closed = False
        self._draining = False
        self._leaves: list[Callable[[], object]] = []  # called at the connection's end
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self._heard_at = loop.time()
        self._sending_since: float | None = None
        extensions = websocket.scope.get("extensions", {})
        direct = extensions.get("parley.write")
        self._write: Callable[..., None] | None = None if direct is None else direct["write"]
        self._writable: Callable[[], bool] | None = None if direct is None else direct["writable"]
        if (reading := extensions.get("parley.read")) is not None:
            reading["listen"](self._take)

    async def serve(self) -> None:
        """Read messages until the end, then end every operation."""
        # A timer, not a task: an idle connection is to cost little.
        self._watching = asyncio.get_running_loop().call_later(
            self._ctx.settings.connection_init_seconds, self._look_at_init
        )
        try:
            while not self._closed:
                await self._handle(await self._receive())
        except WebSocketDisconnect:
            pass
        except Exception:  # the border: the client hears that it may come back, and no more
            logger.exception("A connection failed")
            await self.close(CloseCode.TRY_AGAIN_LATER, "Internal error")
        finally:
            self._closed = True
            self._watching.cancel()
            for leave in reversed(self._leaves):
                leave()
            for task in self._running:
                # Once: a second would interrupt what the first has it put in order.
                if not task.cancelling():
                    task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _hold(self, hold: AbstractContextManager[None]) -> None:
        hold.__enter__()
        self._leaves.append(partial(hold.__exit__, None, None, None))

    async def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection, once."""
        if self._closed:
            return
        self._closed = True
        cut = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(code, cut)
        except TimeoutError:
            self.abort()  # the peer reads nothing, not even the close frame
        except (WebSocketDisconnect, RuntimeError, OSError):
            logger.debug("The peer was gone before the close")

    async def drain(self) -> None:
        """Let what is in flight finish, subscriptions aside, then have the client reconnect."""
        # What is read from here on is not begun: its client, unanswered, sends it again elsewhere.
        self._draining = True
        if in_flight := self._running - self._streams:
            await asyncio.wait(in_flight)
        await self.close(CloseCode.SERVICE_RESTART, "Service restart: reconnect and resume")

    def session_ended(self, reason: str) -> None:
        """Show no more events; let what is in flight finish for a moment, then close."""
        self._draining = True
        for stream in self._streams:
            stream.cancel()
        self._side_task(self._end(reason))

    def token_expiring(self, expires_at: float) -> None:
        """Warn the client, in a `ping` that it answers."""
        self._side_task(self._send(wire.token_expiring(expires_at)))

    async def _end(self, reason: str) -> None:
        ending = {task for task in [asyncio.current_task()] if task is not None}
        if in_flight := self._running - self._streams - ending:
            await asyncio.wait(in_flight, timeout=END_SECONDS)
        await self.close(CloseCode.UNAUTHORIZED, reason)

    def _side_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def abort(self) -> None:
        """End the connection now, without a close frame."""
        self._closed = True
        extension = self._websocket.scope.get("extensions", {}).get("parley.abort")
        if extension is not None:
            extension["abort"]()

    def _take(self, text: str) -> bool:
        """Begin a known query or mutation as its message arrives, with no turn of the loop between.

        False for anything else, and while an earlier message is still being handled.
        """
        if not self._receiving or not self._acknowledged or self._draining or self._closed:
            return False
        try:
            message = wire.decode(text)
        except wire.BadMessage:
            return False
        if not isinstance(message, wire.Subscribe) or message.id in self._tasks:
            return False
        payload = message.payload
        operation = self._operations.recall(payload.query, payload.operation_name)
        if operation is None or operation.type is OperationType.SUBSCRIPTION:
            return False
        if self._in_flight >= MAX_IN_FLIGHT:
            return False
        self._heard_at = self._now()
        self._begin(message.id, operation, payload.variables)
        return True

    async def _receive(self) -> wire.ClientMessage | None:
        self._receiving = True
        event = await self._websocket.receive()
        self._receiving = False
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005), event.get("reason"))
        if self._closed:
            raise WebSocketDisconnect  # closed meanwhile: what came last is not begun
        self._heard_at = self._now()
        text = event.get("text")
        if text is None:
            await self.close(CloseCode.BAD_REQUEST, "Invalid message: not text")
            return None
        try:
            return wire.decode(text)
        except wire.BadMessage as error:
            await self.close(CloseCode.BAD_REQUEST, str(error))
            return None

    async def _handle(self, message: wire.ClientMessage | None) -> None:
        match message:
            case wire.Subscribe():
                await self._handle_subscribe(message)
            case wire.Complete():
                if (task := self._tasks.pop(message.id, None)) is not None:
                    task.cancel()
                    self._streams.discard(task)  # its place is free for the next message
            case wire.ConnectionInit():
                await self._handle_init(message)
            case wire.Ping():
                pong: dict[str, Any] = {"type": "pong"}
                if message.payload is not None:
                    pong["payload"] = message.payload
                await self._send(pong)

    async def _handle_init(self, message: wire.ConnectionInit) -> None:
        if self._initialised:
            await self.close(CloseCode.TOO_MANY_INITIALISATIONS, "Too many initialisation requests")
            return
        self._initialised = True
        authorization = wire.authorization(message.payload or {})
        if authorization is not None:
            try:
                self._ctx = await identify(self._ctx, authorization)
            except ParleyError as error:
                await self.close(CloseCode.TRY_AGAIN_LATER, error.message)
                return
            if self._ctx.viewer is None:
                await self.close(CloseCode.FORBIDDEN, "Forbidden")
                return
            try:
                self._hold(self._ctx.connection_slots.hold_user(self._ctx.viewer.id))
            except RateLimited as error:
                await self.close(CloseCode.TOO_MANY_CONNECTIONS, error.message)
                return
            self._ctx, leave = hold_session(self._ctx, self)
            self._leaves.append(leave)
            self._hold(hold_presence(self._ctx))
        self._acknowledged = True
        await self._send({"type": "connection_ack"})

    async def _handle_subscribe(self, message: wire.Subscribe) -> None:
        id_, payload = message.id, message.payload
        if self._draining:
            return
        if not self._acknowledged:
            await self.close(CloseCode.UNAUTHORIZED, "Unauthorized")
            return
        if id_ in self._tasks:
            await self.close(
                CloseCode.SUBSCRIBER_ALREADY_EXISTS, f"Subscriber for {id_} already exists"
            )
            return
        try:
            operation = self._operations.prepare(payload.query, payload.operation_name)
            if operation.type is OperationType.SUBSCRIPTION:
                if len(self._streams) >= self._ctx.settings.max_subscriptions_per_connection:
                    raise RateLimited(
                        "Too many subscriptions on this connection", retry_after_ms=10_000
                    )
                stream = self._stream(id_, operation, payload.variables)
                self._streams.add(self._start(id_, stream, self._streams.discard))
            else:
                # Beyond the limit nothing more is read: the client waits, and loses nothing.
                while self._in_flight >= MAX_IN_FLIGHT:
                    self._freed = asyncio.get_running_loop().create_future()
                    await self._freed
                if self._draining:
                    return
                self._begin(id_, operation, payload.variables)
        except (RequestRefused, RateLimited) as error:
            errors = refusal(error)["errors"]
            await self._send({"id": id_, "type": "error", "payload": errors})

    def _begin(self, id_: str, operation: Operation, variables: dict[str, Any] | None) -> None:
        self._in_flight += 1
        self._start(id_, self._execute(id_, operation, variables), self._free)

    def _free(self, _: asyncio.Task[None]) -> None:
        self._in_flight -= 1
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)

    def _start(
        self,
        id_: str,
        work: Coroutine[Any, Any, None],
        ended: Callable[[asyncio.Task[None]], None],
    ) -> asyncio.Task[None]:
        # Tasks begin in the order in which they are made, and a send takes its place in the log
        # before it first waits: a client's messages keep their order.
        task = asyncio.create_task(self._run(id_, work))
        self._tasks[id_] = task
        self._running.add(task)

        def forget(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            work.close()  # cancelled before it began, it was never awaited: Python would warn
            ended(task)

        task.add_done_callback(forget)
        return task

    async def _run(self, id_: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
            await self._finish(id_, {"id": id_, "type": "complete"})
        except SubscriberTooSlow:
            await self.close(CloseCode.TRY_AGAIN_LATER, "Too slow: resume after the last id seen")
        except EventLost:
            logger.warning("An event could not be shown; its subscriber resumes", exc_info=True)
            await self.close(
                CloseCode.TRY_AGAIN_LATER, "Interrupted: resume after the last id seen"
            )
        except WebSocketDisconnect:
            self._closed = True
        except Exception as error:  # the border: the client hears in its form
            await self._finish(
                id_, {"id": id_, "type": "error", "payload": refusal(error)["errors"]}
            )
        finally:
            if self._tasks.get(id_) is asyncio.current_task():
                del self._tasks[id_]

    async def _execute(
        self, id_: str, operation: Operation, variables: dict[str, Any] | None
    ) -> None:
        result = await self._operations.execute(self._ctx, operation, variables)
        await self._send({"id": id_, "type": "next", "payload": result})

    async def _stream(
        self, id_: str, operation: Operation, variables: dict[str, Any] | None
    ) -> None:
        head = wire.encode({"id": id_, "type": "next", "payload": None})[: -len(b"null}")]

        def show(result: msgspec.Raw) -> bool:
            if self._closed or self._draining or self._write is None:
                return False
            if self._writable is None or not self._writable():
                return False
            self._write(head, result, b"}")
            return True

        results = self._operations.subscribe(self._ctx, operation, variables, show)
        async with aclosing(results):
            async for result in results:
                await self._send({"id": id_, "type": "next", "payload": result})

    async def _finish(self, id_: str, message: dict[str, Any]) -> None:
        # The id is free from here on: the client may use it again as soon as it reads this.
        self._tasks.pop(id_, None)
        try:
            await self._send(message)
        except WebSocketDisconnect:
            self._closed = True

    async def _send(self, message: dict[str, Any]) -> None:
        if self._closed:
            return
        encoded = wire.encode(message)
        if self._write is not None and self._writable is not None and self._writable():
            self._write(encoded)
            return
        if self._sending_since is None:
            self._sending_since = self._now()
        try:
            await self._websocket.send({"type": "websocket.send", "text": encoded.decode()})
        finally:
            self._sending_since = None

    def _look_at_init(self) -> None:
        """Close the connection when its peer does not begin."""
        if self._initialised:
            self._look_again()
        else:
            timeout = self.close(CloseCode.TIMEOUT, "Connection initialisation timeout")
            self._side_task(timeout)

    def _look_again(self) -> None:
        settings = self._ctx.settings
        pause = min(settings.ping_interval_seconds, settings.ping_timeout_seconds) / 3
        self._watching = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        """Close the connection when its peer does not read, or is dead; ask it now and then."""
        if self._closed:
            return
        interval = self._ctx.settings.ping_interval_seconds
        patience = self._ctx.settings.ping_timeout_seconds
        stuck, silent = self._sending_since, self._now() - self._heard_at
        if stuck is not None and self._now() - stuck > patience:
            self.abort()
            return
        if silent >= interval + patience:
            self._side_task(self.close(CloseCode.TIMEOUT, "Pong timeout"))
            return
        if stuck is None and silent >= interval:
            self._side_task(self._ping(patience))
        self._look_again()

    async def _ping(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._send({"type": "ping"})
        except TimeoutError:
            self.abort()
        except WebSocketDisconnect:
            self._closed = True
