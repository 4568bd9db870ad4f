"""One WebSocket that speaks graphql-transport-ws (graphql-ws, PROTOCOL.md)."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect

from events.subscription import SubscriberTooSlow
from resolvers.connections import enter
from resolvers.context import Context
from resolvers.errors import ParleyError, RateLimited, TooManyConnections, Unauthenticated
from resolvers.pending import Pending
from schema.execution.documents import Operation, RequestRefused
from schema.execution.labels import NONE
from schema.execution.operations import EventLost, Operations, is_outage
from schema.execution.plans import Result
from schema.transports import protocol
from schema.transports.heartbeat import Heartbeat
from schema.transports.operation_log import Doing, OperationLog
from schema.transports.protocol import CloseCode, SocketRefused
from schema.transports.response_stream import ResponseStream
from schema.transports.socket_writer import SocketWriter
from server.bearer import bearer_token
from server.calls import call_of, current

logger = logging.getLogger("parley.graphql")

# What is in flight may take so long when the session ends: the mutation that ended it is in flight.
END_SECONDS = 0.25
# How many queries and mutations one connection may have running.
MAX_IN_FLIGHT = 100

INTERRUPTED = "Interrupted: resume after the last id seen"


class GraphQLSocket:
    """Serves one accepted connection until either side closes it."""

    face = "graphql_ws"  # in the operator's figures

    def __init__(self, ctx: Context, operations: Operations, websocket: WebSocket) -> None:
        self._ctx = ctx
        self._operations = operations
        self._websocket = websocket
        self._log = OperationLog(call_of(websocket.scope))
        self._writer = SocketWriter(websocket)
        self._heartbeat = Heartbeat(ctx, self._writer)
        # What goes on under each id: tasks, subscriptions, and mutations that need no task.
        self._by_id: dict[str, asyncio.Future[Any] | ResponseStream] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._in_flight = 0  # queries and mutations
        self._freed: asyncio.Future[None] | None = None  # done when another one may begin
        self._receiving = False
        self._initialised = False  # connection_init came
        self._acknowledged = False
        self._init_timer = asyncio.get_running_loop().call_later(
            ctx.settings.connection_init_seconds, self._close_uninitialised
        )
        self._connection = ctx.hub.open(self)
        websocket.scope["extensions"]["parley.read"]["listen"](self._start_at_once)

    async def serve(self) -> None:
        """Read messages until the end, then end every operation."""
        try:
            while not self._writer.closed:
                await self._handle(await self._receive())
        except WebSocketDisconnect:
            pass
        except SocketRefused as refused:
            await self._writer.close(refused.code, refused.reason)
        except Exception:  # the border: the client hears that it may come back, and no more
            logger.exception("A connection failed")
            await self._writer.close(CloseCode.TRY_AGAIN_LATER, "Internal error")
        finally:
            self._writer.closed = True
            self._init_timer.cancel()
            self._connection.close()
            for stream in self._streams():
                stream.cancel()
            for future in self._pending():
                future.cancel()  # stored all the same
            for task in self._running:
                # Cancel it once: a second cancellation would interrupt the clean-up of the first.
                if not task.cancelling():
                    task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            # What is left here refers to this: a closed connection must need no collector.
            self._by_id.clear()

    def check_heartbeat(self) -> None:
        """Ping a client that is silent; end the connection of one that is dead."""
        if not self._initialised or self._writer.closed:
            return
        if (sending := self._heartbeat.check()) is not None:
            self.run_beside(sending)

    def _close_uninitialised(self) -> None:
        text = "Connection initialisation timeout"
        self.run_beside(self._writer.close(CloseCode.TIMEOUT, text))

    async def drain(self) -> None:
        """Let queries and mutations in flight finish, then have the client reconnect."""
        # What is read from here on is not begun: the client gets no answer, and sends it again.
        self._writer.leaving = True
        await self._finish_in_flight()
        await self._writer.close(CloseCode.SERVICE_RESTART, "Service restart: reconnect and resume")

    def session_ended(self, reason: str) -> None:
        """Send no more events; let what is in flight finish for a moment, then close."""
        self._writer.leaving = True
        for stream in self._streams():
            stream.cancel()
        self.run_beside(self._end(reason))

    def _streams(self) -> list[ResponseStream]:
        return [stream for stream in self._by_id.values() if isinstance(stream, ResponseStream)]

    def _pending(self) -> set[asyncio.Future[Any]]:
        """Return the futures that mutations without a task wait for."""
        futures = {on for on in self._by_id.values() if isinstance(on, asyncio.Future)}
        return {future for future in futures if not isinstance(future, asyncio.Task)}

    async def _finish_in_flight(self) -> None:
        """Wait for every running operation but the subscriptions and the caller."""
        while True:
            apart = {asyncio.current_task(), *(stream.task for stream in self._streams())}
            in_flight = self._pending() | (self._running - apart)
            if not in_flight:
                return
            await asyncio.wait(in_flight)
            await asyncio.sleep(0)  # the answer is sent in the next turn of the loop

    def token_expiring(self, expires_at: float) -> None:
        """Warn the client, in a `ping` that it answers."""
        self.run_beside(self._writer.send(protocol.token_expiring(expires_at)))

    async def _end(self, reason: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._finish_in_flight()
        await self._writer.close(CloseCode.UNAUTHORIZED, reason)

    def run_beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run this in a task that is cancelled when the connection ends."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _start_at_once(self, text: str) -> bool:
        """Start a query or a mutation in the same turn of the loop in which its message arrives.

        False when `serve` has to read the message: the document is not in the cache, the message is
        another one, or an earlier message is still being handled.
        """
        if not self._receiving or self._writer.leaving or self._writer.closed:
            return False
        try:
            message = protocol.decode(text)
            if not isinstance(message, protocol.Subscribe):
                return False
            self._check_subscribe(message)
            operation = self._operations.recall(self._ctx, message.payload)
            full = self._in_flight >= MAX_IN_FLIGHT
            if full or operation is None or operation.type is OperationType.SUBSCRIPTION:
                return False
            self._start(message.id, operation, message.payload.variables)
        except (SocketRefused, RequestRefused):
            return False
        self._heartbeat.hear()
        return True

    def _check_subscribe(self, message: protocol.Subscribe) -> None:
        """Raise SocketRefused for a message that has to close the connection."""
        if not self._acknowledged:
            raise SocketRefused(CloseCode.UNAUTHORIZED, "Unauthorized")
        if message.id in self._by_id:
            text = f"Subscriber for {message.id} already exists"
            raise SocketRefused(CloseCode.SUBSCRIBER_ALREADY_EXISTS, text)

    async def _receive(self) -> protocol.ClientMessage:
        self._receiving = True
        event = await self._websocket.receive()
        self._receiving = False
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005), event.get("reason"))
        if self._writer.closed:
            raise WebSocketDisconnect  # closed meanwhile: the last message is not begun
        self._heartbeat.hear()
        text = event.get("text")
        if text is None:
            raise SocketRefused(CloseCode.BAD_REQUEST, "Invalid message: not text")
        return protocol.decode(text)

    async def _handle(self, message: protocol.ClientMessage) -> None:
        match message:
            case protocol.Subscribe():
                await self._handle_subscribe(message)
            case protocol.Complete():
                if (going_on := self._by_id.pop(message.id, None)) is not None:
                    going_on.cancel()
            case protocol.ConnectionInit():
                await self._handle_init(message)
            case protocol.Ping():
                pong: dict[str, Any] = {"type": "pong"}
                if message.payload is not None:
                    pong["payload"] = message.payload
                await self._writer.send(pong)

    async def _handle_init(self, message: protocol.ConnectionInit) -> None:
        if self._initialised:
            text = "Too many initialisation requests"
            raise SocketRefused(CloseCode.TOO_MANY_INITIALISATIONS, text)
        self._initialised = True
        self._init_timer.cancel()
        authorization = protocol.authorization(message.payload or {}) or self._handshake_token()
        if authorization is not None:
            if not (token := bearer_token(authorization)):
                raise SocketRefused(CloseCode.FORBIDDEN, "Forbidden")
            try:
                self._ctx = await enter(self._ctx, self._connection, token)
                self._log.call.user = self._ctx.user.id
            except Unauthenticated as error:
                raise SocketRefused(CloseCode.FORBIDDEN, "Forbidden") from error
            except TooManyConnections as error:
                raise SocketRefused(CloseCode.TOO_MANY_CONNECTIONS, error.message) from error
            except ParleyError as error:
                raise SocketRefused(CloseCode.TRY_AGAIN_LATER, error.message) from error
        self._acknowledged = True
        await self._writer.send({"type": "connection_ack"})

    def _handshake_token(self) -> str | None:
        """Return the handshake's own Authorization, if it is a bearer token.

        A browser cannot set one. Another scheme, such as Basic, is for a proxy in front.
        """
        sent = self._websocket.headers.get("authorization", "")
        return sent if sent[:7].lower() == "bearer " and sent[7:].strip() else None

    async def _handle_subscribe(self, message: protocol.Subscribe) -> None:
        id_, payload = message.id, message.payload
        if self._writer.leaving:
            return
        self._check_subscribe(message)
        doing = self._log.begin(id_, NONE)
        try:
            operation = self._operations.prepare(self._ctx, payload)
            doing.label = operation.label
            if operation.type is OperationType.SUBSCRIPTION:
                if len(self._streams()) >= self._ctx.settings.max_subscriptions_per_connection:
                    raise RateLimited(
                        "Too many subscriptions on this connection",
                        retry_after_ms=10_000,
                        setting="MAX_SUBSCRIPTIONS_PER_CONNECTION",
                    )
                self._by_id[id_] = stream = ResponseStream(
                    self._writer, self._log, doing, self._run_stream, operation, payload.variables
                )
                self._run_stream(stream)
            else:
                # At the limit nothing more is read: the client waits, and loses nothing.
                while self._in_flight >= MAX_IN_FLIGHT:
                    self._freed = asyncio.get_running_loop().create_future()
                    await self._freed
                if self._writer.leaving:
                    return
                self._start(id_, operation, payload.variables)
        except (RequestRefused, RateLimited) as error:
            await self._writer.send(self._log.refused(doing, error))

    def _start(self, id_: str, operation: Operation, variables: dict[str, Any] | None) -> None:
        """Start a query or a mutation. Raises RequestRefused.

        A send takes its place in the log here, or when its task first runs. Tasks first run in the
        order in which they were made, so that a client's messages keep their order.
        """
        doing = self._log.begin(id_, operation.label)
        serving = self._log.enter(doing)
        try:
            started = self._operations.start(self._ctx, operation, variables)
            self._in_flight += 1
            if started is None:
                self._run_counted(doing, self._execute(doing, operation, variables))
            elif isinstance(started, Pending):
                self._by_id[id_] = started.future
                started.future.add_done_callback(partial(self._answer_pending, doing, started))
            else:
                self._answer(doing, started)
        finally:
            current.reset(serving)

    def _answer_pending(
        self, doing: Doing, pending: Pending[Result], outcome: asyncio.Future[Any]
    ) -> None:
        id_ = doing.id
        if self._by_id.get(id_) is not outcome:
            self._free()  # the client has completed it, perhaps as it was done
            if not outcome.cancelled():
                outcome.exception()  # retrieved, or Python would log that nobody heard of it
        elif outcome.cancelled():
            del self._by_id[id_]
            self._free()
        else:
            self._answer(doing, pending.result())

    def _answer(self, doing: Doing, result: Result) -> None:
        """Send a result at once; if that is not possible, in a task."""
        id_ = doing.id
        result = self._log.told(doing, result)
        try:
            answer = protocol.encode({"id": id_, "type": "next", "payload": result})
            sent = self._writer.write(answer)
        except Exception:  # the task meets the same error, and tells the client
            sent = False
        if sent:
            self._by_id.pop(id_, None)  # free from here on, as in `_finish`
            self._free()
            self._writer.write(protocol.encode({"id": id_, "type": "complete"}))
        else:
            self._run_counted(doing, self._send_result(id_, result))

    def _free(self, _: object = None) -> None:
        self._in_flight -= 1
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)

    def _run_counted(self, doing: Doing, work: Coroutine[Any, Any, bool]) -> None:
        """Run a query or a mutation in a task."""
        self._by_id[doing.id] = task = self._run_in_task(doing, work)
        task.add_done_callback(self._free)

    def _run_stream(self, stream: ResponseStream) -> None:
        """Run a subscription in a task until it ends or has caught up."""
        if not self._writer.closed and not self._writer.leaving:
            serving = self._log.enter(stream.doing)
            stream.task = self._run_in_task(stream.doing, self._stream(stream))
            current.reset(serving)
            stream.task.add_done_callback(stream.ended)

    def _run_in_task(self, doing: Doing, work: Coroutine[Any, Any, bool]) -> asyncio.Task[None]:
        task = self.run_beside(self._run(doing, work))
        # If the task is cancelled before it begins, the work is never awaited: Python would warn.
        task.add_done_callback(lambda _: work.close())
        return task

    async def _run(self, doing: Doing, work: Coroutine[Any, Any, bool]) -> None:
        """Tell the client how the work ended; work that goes on elsewhere returns False."""
        id_ = doing.id
        try:
            if await work:
                self._log.end(doing)
                await self._finish(id_, {"id": id_, "type": "complete"})
        except SubscriberTooSlow:
            self._ctx.counted.slow_readers[self.face] += 1
            text = "Too slow: resume after the last id seen"
            await self._writer.close(CloseCode.TRY_AGAIN_LATER, text)
        except EventLost:
            logger.warning("An event could not be shown; its subscriber resumes", exc_info=True)
            await self._writer.close(CloseCode.TRY_AGAIN_LATER, INTERRUPTED)
        except WebSocketDisconnect:
            self._writer.closed = True
        except Exception as error:  # the border: the client hears in its form
            await self._finish(id_, self._log.refused(doing, error))

    async def _execute(
        self, doing: Doing, operation: Operation, variables: dict[str, Any] | None
    ) -> bool:
        result = await self._operations.execute(self._ctx, operation, variables)
        return await self._send_result(doing.id, self._log.told(doing, result))

    async def _send_result(self, id_: str, result: Result) -> bool:
        await self._writer.send({"id": id_, "type": "next", "payload": result})
        return True

    async def _stream(self, stream: ResponseStream) -> bool:
        results = self._operations.subscribe(self._ctx, stream.operation, stream.variables, stream)
        try:
            async with aclosing(results):
                async for found in results:
                    await stream.send(found)
        except Exception as error:
            if not is_outage(error):
                raise
            # An `error` message would end the subscription for good. After a close clients resume.
            await self._writer.close(CloseCode.TRY_AGAIN_LATER, INTERRUPTED)
            return True
        return not stream.is_parked

    async def _finish(self, id_: str, message: dict[str, Any]) -> None:
        # The id is free from here on: the client may use it again as soon as it reads this.
        self._by_id.pop(id_, None)
        try:
            await self._writer.send(message)
        except WebSocketDisconnect:
            self._writer.closed = True
