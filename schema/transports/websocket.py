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
from schema.execution.operations import EventLost, Operations, is_outage, refusal
from schema.execution.plans import Result
from schema.transports import wire
from schema.transports.peer import Peer
from schema.transports.streams import Stream
from schema.transports.wire import CloseCode
from server.bearer import bearer_token

logger = logging.getLogger("parley.graphql")

# How long the answers in flight may take when the session ends: the mutation that ended it is one.
END_SECONDS = 0.25
# Queries and mutations that one connection may have running.
MAX_IN_FLIGHT = 100

INTERRUPTED = "Interrupted: resume after the last id seen"


class GraphQLSocket:
    """Serves one accepted connection until either side closes it."""

    def __init__(self, ctx: Context, operations: Operations, websocket: WebSocket) -> None:
        self._ctx = ctx
        self._operations = operations
        self._websocket = websocket
        self._peer = Peer(websocket, ctx, self.side_task)
        # What goes on under each id: tasks, subscriptions, and mutations that need no task.
        self._by_id: dict[str, asyncio.Future[Any] | Stream] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._freed: asyncio.Future[None] | None = None  # waits until another one may begin
        self._receiving = False
        self._acknowledged = False
        self._connection = ctx.hub.open(self)
        if (reading := websocket.scope.get("extensions", {}).get("parley.read")) is not None:
            reading["listen"](self._take)

    async def serve(self) -> None:
        """Read messages until the end, then end every operation."""
        try:
            while not self._peer.closed:
                await self._handle(await self._receive())
        except WebSocketDisconnect:
            pass
        except Exception:  # the border: the client hears that it may come back, and no more
            logger.exception("A connection failed")
            await self._peer.close(CloseCode.TRY_AGAIN_LATER, "Internal error")
        finally:
            self._peer.closed = True
            self._peer.heartbeat.end()
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

    def look(self) -> None:
        """See to it that the peer lives and reads."""
        self._peer.heartbeat.look()

    async def drain(self) -> None:
        """Let what is in flight finish, subscriptions aside, then have the client reconnect."""
        # What is read from here on is not begun: its client, unanswered, sends it again elsewhere.
        self._peer.leaving = True
        await self._finish_in_flight()
        await self._peer.close(CloseCode.SERVICE_RESTART, "Service restart: reconnect and resume")

    def session_ended(self, reason: str) -> None:
        """Show no more events; let what is in flight finish for a moment, then close."""
        self._peer.leaving = True
        for stream in self._streams():
            stream.cancel()
        self.side_task(self._end(reason))

    def _streams(self) -> list[Stream]:
        return [stream for stream in self._by_id.values() if isinstance(stream, Stream)]

    def _pending(self) -> set[asyncio.Future[Any]]:
        """Return what the mutations that need no task wait for."""
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
            await asyncio.sleep(0)  # what is done is answered in the next turn of the loop

    def token_expiring(self, expires_at: float) -> None:
        """Warn the client, in a `ping` that it answers."""
        self.side_task(self._peer.send(wire.token_expiring(expires_at)))

    async def _end(self, reason: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._finish_in_flight()
        await self._peer.close(CloseCode.UNAUTHORIZED, reason)

    def side_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside what goes on, until the connection ends."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _take(self, text: str) -> bool:
        """Start a known query or mutation as its message arrives, with no turn of the loop between.

        False for anything else, and while an earlier message is still being handled.
        """
        if not self._receiving or self._peer.leaving or self._peer.closed:
            return False
        try:
            message = wire.decode(text)
        except wire.BadMessage:
            return False
        if not isinstance(message, wire.Subscribe) or self._fault_of(message) is not None:
            return False
        operation = self._operations.recall(self._ctx, message.payload)
        full = self._in_flight >= MAX_IN_FLIGHT
        if full or operation is None or operation.type is OperationType.SUBSCRIPTION:
            return False
        try:
            self._start(message.id, operation, message.payload.variables)
        except RequestRefused:
            return False
        self._peer.heartbeat.hear()
        return True

    def _fault_of(self, message: wire.Subscribe) -> tuple[CloseCode, str] | None:
        """Return why such a message closes the connection, if it does."""
        if not self._acknowledged:
            return CloseCode.UNAUTHORIZED, "Unauthorized"
        if message.id in self._by_id:
            text = f"Subscriber for {message.id} already exists"
            return CloseCode.SUBSCRIBER_ALREADY_EXISTS, text
        return None

    async def _receive(self) -> wire.ClientMessage | None:
        self._receiving = True
        event = await self._websocket.receive()
        self._receiving = False
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005), event.get("reason"))
        if self._peer.closed:
            raise WebSocketDisconnect  # closed meanwhile: what came last is not begun
        self._peer.heartbeat.hear()
        text = event.get("text")
        if text is None:
            await self._peer.close(CloseCode.BAD_REQUEST, "Invalid message: not text")
            return None
        try:
            return wire.decode(text)
        except wire.BadMessage as error:
            await self._peer.close(CloseCode.BAD_REQUEST, str(error))
            return None

    async def _handle(self, message: wire.ClientMessage | None) -> None:
        match message:
            case wire.Subscribe():
                await self._handle_subscribe(message)
            case wire.Complete():
                if (going_on := self._by_id.pop(message.id, None)) is not None:
                    going_on.cancel()
            case wire.ConnectionInit():
                await self._handle_init(message)
            case wire.Ping():
                pong: dict[str, Any] = {"type": "pong"}
                if message.payload is not None:
                    pong["payload"] = message.payload
                await self._peer.send(pong)

    async def _handle_init(self, message: wire.ConnectionInit) -> None:
        if self._peer.heartbeat.begun:
            await self._peer.close(
                CloseCode.TOO_MANY_INITIALISATIONS, "Too many initialisation requests"
            )
            return
        self._peer.heartbeat.begin()
        authorization = wire.authorization(message.payload or {}) or self._handshake_token()
        if authorization is not None:
            if not (token := bearer_token(authorization)):
                await self._peer.close(CloseCode.FORBIDDEN, "Forbidden")
                return
            try:
                self._ctx = await enter(self._ctx, self._connection, token)
            except Unauthenticated:
                await self._peer.close(CloseCode.FORBIDDEN, "Forbidden")
                return
            except TooManyConnections as error:
                await self._peer.close(CloseCode.TOO_MANY_CONNECTIONS, error.message)
                return
            except ParleyError as error:
                await self._peer.close(CloseCode.TRY_AGAIN_LATER, error.message)
                return
        self._acknowledged = True
        await self._peer.send({"type": "connection_ack"})

    def _handshake_token(self) -> str | None:
        """Return the handshake's own Authorization, if it is one of ours.

        A browser cannot set one. Another scheme is for a proxy in front, as with Basic.
        """
        sent = self._websocket.headers.get("authorization", "")
        return sent if sent[:7].lower() == "bearer " and sent[7:].strip() else None

    async def _handle_subscribe(self, message: wire.Subscribe) -> None:
        id_, payload = message.id, message.payload
        if self._peer.leaving:
            return
        if (fault := self._fault_of(message)) is not None:
            await self._peer.close(*fault)
            return
        try:
            operation = self._operations.prepare(self._ctx, payload)
            if operation.type is OperationType.SUBSCRIPTION:
                if len(self._streams()) >= self._ctx.settings.max_subscriptions_per_connection:
                    raise RateLimited(
                        "Too many subscriptions on this connection",
                        retry_after_ms=10_000,
                        setting="MAX_SUBSCRIPTIONS_PER_CONNECTION",
                    )
                self._by_id[id_] = stream = Stream(
                    self._peer, self._run_stream, id_, operation, payload.variables
                )
                self._run_stream(stream)
            else:
                # Beyond the limit nothing more is read: the client waits, and loses nothing.
                while self._in_flight >= MAX_IN_FLIGHT:
                    self._freed = asyncio.get_running_loop().create_future()
                    await self._freed
                if self._peer.leaving:
                    return
                self._start(id_, operation, payload.variables)
        except (RequestRefused, RateLimited) as error:
            errors = refusal(error)["errors"]
            await self._peer.send({"id": id_, "type": "error", "payload": errors})

    def _start(self, id_: str, operation: Operation, variables: dict[str, Any] | None) -> None:
        """Start a query or a mutation. Raises RequestRefused.

        A send takes its place in the log here, or else as its task first runs, and tasks run in
        the order in which they are made: a client's messages keep their order.
        """
        started = self._operations.start(self._ctx, operation, variables)
        self._in_flight += 1
        if started is None:
            self._run_counted(id_, self._execute(id_, operation, variables))
        elif isinstance(started, Pending):
            self._by_id[id_] = started.future
            started.future.add_done_callback(partial(self._answer_pending, id_, started))
        else:
            self._answer(id_, started)

    def _answer_pending(
        self, id_: str, pending: Pending[Result], outcome: asyncio.Future[Any]
    ) -> None:
        if self._by_id.get(id_) is not outcome:
            self._free()  # its client has completed it, perhaps as it was done
            if not outcome.cancelled():
                outcome.exception()  # nobody is to hear of it: Python would say that in the log
        elif outcome.cancelled():
            del self._by_id[id_]
            self._free()
        else:
            self._answer(id_, pending.result())

    def _answer(self, id_: str, result: Result) -> None:
        """Send the result of what needed no task; with one, where it cannot be sent at once."""
        try:
            answer = wire.encode({"id": id_, "type": "next", "payload": result})
            sent = self._peer.write(answer)
        except Exception:  # the task fails in the same way, and tells it
            sent = False
        if sent:
            self._by_id.pop(id_, None)  # free from here on, as in `_finish`
            self._free()
            self._peer.write(wire.encode({"id": id_, "type": "complete"}))
        else:
            self._run_counted(id_, self._send_result(id_, result))

    def _free(self, _: object = None) -> None:
        self._in_flight -= 1
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)

    def _run_counted(self, id_: str, work: Coroutine[Any, Any, bool]) -> None:
        """Run a query or a mutation in a task, and have its place freed."""
        self._by_id[id_] = task = self._run_in_task(id_, work)
        task.add_done_callback(self._free)

    def _run_stream(self, stream: Stream) -> None:
        """Run a subscription in a task, until it is over or has caught up."""
        if not self._peer.closed and not self._peer.leaving:
            stream.task = self._run_in_task(stream.id, self._stream(stream))
            stream.task.add_done_callback(stream.ended)

    def _run_in_task(self, id_: str, work: Coroutine[Any, Any, bool]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._run(id_, work))
        self._running.add(task)

        def forget(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            work.close()  # cancelled before it began, it was never awaited: Python would warn

        task.add_done_callback(forget)
        return task

    async def _run(self, id_: str, work: Coroutine[Any, Any, bool]) -> None:
        """Tell the client how the work ended; that returns False if it has not."""
        try:
            if await work:
                await self._finish(id_, {"id": id_, "type": "complete"})
        except SubscriberTooSlow:
            await self._peer.close(
                CloseCode.TRY_AGAIN_LATER, "Too slow: resume after the last id seen"
            )
        except EventLost:
            logger.warning("An event could not be shown; its subscriber resumes", exc_info=True)
            await self._peer.close(CloseCode.TRY_AGAIN_LATER, INTERRUPTED)
        except WebSocketDisconnect:
            self._peer.closed = True
        except Exception as error:  # the border: the client hears in its form
            await self._finish(
                id_, {"id": id_, "type": "error", "payload": refusal(error)["errors"]}
            )

    async def _execute(
        self, id_: str, operation: Operation, variables: dict[str, Any] | None
    ) -> bool:
        result = await self._operations.execute(self._ctx, operation, variables)
        return await self._send_result(id_, result)

    async def _send_result(self, id_: str, result: Result) -> bool:
        await self._peer.send({"id": id_, "type": "next", "payload": result})
        return True

    async def _stream(self, stream: Stream) -> bool:
        results = self._operations.subscribe(self._ctx, stream.operation, stream.variables, stream)
        try:
            async with aclosing(results):
                async for found in results:
                    await stream.send(found)
        except Exception as error:
            if not is_outage(error):
                raise
            # An `error` message would end the subscription for good; after this its client resumes.
            await self._peer.close(CloseCode.TRY_AGAIN_LATER, INTERRUPTED)
            return True
        return not stream.is_parked

    async def _finish(self, id_: str, message: dict[str, Any]) -> None:
        # The id is free from here on: the client may use it again as soon as it reads this.
        self._by_id.pop(id_, None)
        try:
            await self._peer.send(message)
        except WebSocketDisconnect:
            self._peer.closed = True
