"""Results as server-sent events (graphql-sse, PROTOCOL.md: distinct connections mode).

A subscription's stream is an open connection of its user's, as a WebSocket is: it counts, it holds
presence, and it ends with its session. Its client resumes with `Last-Event-ID`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from events.subscription import SubscriberTooSlow
from resolvers.connections import enter
from resolvers.context import Context
from resolvers.errors import Unauthenticated
from schema.context import Resumption
from schema.execution.documents import Operation
from schema.execution.errors import codes_of, with_request_id
from schema.execution.operations import EventLost, Operations, is_outage, refusal
from schema.execution.plans import Result
from server.calls import call_of, distinct

logger = logging.getLogger("parley.graphql")

EVENT_STREAM = "text/event-stream"
HEADERS = {
    "Content-Type": f"{EVENT_STREAM}; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events back until it has a block of them
}
KEEP_ALIVE = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"
# How long the last event may wait for a client that does not read.
CLOSE_SECONDS = 5

_encoder = msgspec.json.Encoder()


def next_event(result: bytes, place: str | None = None) -> bytes:
    """Return a result as an event; a client that is cut off behind it resumes from its place."""
    if place is None:
        return b"event: next\ndata: %b\n\n" % result
    return b"event: next\nid: %b\ndata: %b\n\n" % (place.encode(), result)


def whole_stream(result: Result) -> Response:
    """Return the answer that is one result."""
    return Response(next_event(_encoder.encode(result)) + COMPLETE, headers=HEADERS)


class EventStream:
    """The answer to one subscription; `begin` it before it is called."""

    face = "graphql_sse"  # in the operator's figures

    def __init__(
        self,
        ctx: Context,
        operations: Operations,
        operation: Operation,
        variables: dict[str, Any] | None,
        request: Request,
    ) -> None:
        self._ctx = ctx
        self._operations = operations
        self._operation = operation
        self._variables = variables
        self._resumption = Resumption(request.headers.get("last-event-id") or None)
        self._call = call_of(request.scope)
        self._connection = ctx.hub.open(self)
        self._ended: asyncio.Future[Result | None] = asyncio.get_running_loop().create_future()
        self._wrote_at = 0.0
        self._writing = False

    async def begin(self, token: str | None) -> None:
        """Let the user of the token in. Raises TooManyConnections, RateLimited, Unavailable.

        A token that is no good makes the caller nobody, as for any request.
        """
        try:
            if token is not None:
                self._ctx = await enter(self._ctx, self._connection, token)
                self._call.user = self._ctx.user.id
        except Unauthenticated as error:
            self._ctx = self._ctx.as_nobody(error.message)
        except BaseException:
            self._connection.close()
            raise

    def session_ended(self, reason: str) -> None:
        """Tell the client why, and complete the stream."""
        self._end(refusal(Unauthenticated(reason)))

    def token_expiring(self, expires_at: float) -> None:
        """Do nothing: clients of this protocol know no event that could say so."""

    def drain(self) -> None:
        """End without completing, so that the client comes back and resumes."""
        self._end(None)

    def _end(self, last: Result | None) -> None:
        if not self._ended.done():
            self._ended.set_result(last)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send results until the subscription, its session, the client or the server ends."""
        beside = [
            asyncio.ensure_future(work)
            for work in (_disconnected(receive), self._keep_alive(send), self._ended)
        ]
        writing = asyncio.ensure_future(self._write(send))
        try:
            headers = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await asyncio.wait([writing, *beside], return_when=asyncio.FIRST_COMPLETED)
            completes = writing.done() and not writing.cancelled() and writing.result()
            await self._stop(writing)
            last = COMPLETE if completes else b""
            if self._ended.done() and (refused := self._ended.result()) is not None:
                last = next_event(_encoder.encode(self._told(refused))) + COMPLETE
            gone = beside[0].done()
            if last and not gone:
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await send({"type": "http.response.body", "body": last})
                        return
            if not gone:
                # Cut off: a stream that merely ended would be over, to some clients.
                scope["extensions"]["parley.abort"]["abort"]()
        finally:
            self._connection.close()
            for task in beside:
                await self._stop(task)
            await self._stop(writing)

    async def _stop(self, task: "asyncio.Future[Any]") -> None:
        # Cancel it once: a second cancellation would interrupt the clean-up of the first.
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _write(self, send: Send) -> bool:
        """Send the results; return whether the client is to be told that these were all."""
        try:
            async with aclosing(self._results()) as results:
                async for result in results:
                    await self._send(send, result)
        except (SubscriberTooSlow, EventLost) as broken:
            self._ctx.counted.slow_readers[self.face] += isinstance(broken, SubscriberTooSlow)
            logger.info("A stream of events broke off; its client resumes")
            # An ended session interrupts too; `session_ended` may come a moment later.
            return False
        except Exception as error:  # the border: the client hears in its form
            if is_outage(error):
                return False
            await self._send(send, next_event(_encoder.encode(self._told(refusal(error)))))
        return True

    def _told(self, refused: Result) -> Result:
        """Note why the stream ends for its log line; have the errors say the request's id."""
        self._call.note(errors=distinct(codes_of(refused)))
        return with_request_id(refused, self._call.request_id)

    async def _results(self) -> AsyncGenerator[bytes, None]:
        stream = self._operations.subscribe(
            self._ctx, self._operation, self._variables, resumption=self._resumption
        )
        async with aclosing(stream):
            async for results in stream:
                yield b"".join(next_event(result, self._resumption.place) for result in results)

    async def _send(self, send: Send, event: bytes) -> None:
        self._writing = True
        await send({"type": "http.response.body", "body": event, "more_body": True})
        self._writing = False
        self._wrote_at = asyncio.get_running_loop().time()

    async def _keep_alive(self, send: Send) -> None:
        """Send a comment whenever nothing else was sent for a while: proxies end what is silent."""
        interval = self._ctx.settings.ping_interval_seconds
        while True:
            silent = asyncio.get_running_loop().time() - self._wrote_at
            if silent >= interval and not self._writing:
                await self._send(send, KEEP_ALIVE)
                silent = 0.0
            await asyncio.sleep(max(interval - silent, interval / 10))


async def _disconnected(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
