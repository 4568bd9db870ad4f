"""The older Socket.IO events, on the default namespace."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any, Literal

from starlette.types import Receive, Scope, Send

from compat.bodies import (
    parse_attachment,
    parse_content,
    parse_kind,
    parse_optional_text,
    parse_position,
    parse_receiver,
    parse_text,
)
from compat.errors import error_shape
from compat.presence import OnlineLists
from compat.shapes import ErrorShape, MessageShape, message_shape
from compat.socketio.held import HeldEvents, Hold
from compat.socketio.packets import EncodedEvent
from compat.socketio.server import SocketServer
from db.models import StoredMessage
from events.connection import Connection
from events.subscription import SubscriberTooSlow
from resolvers.auth import authenticate_login
from resolvers.context import Context
from resolvers.errors import BadInput, ParleyError, RateLimited, Unauthenticated
from resolvers.hub import enter
from resolvers.messages import send_message, watch_messages
from server.moments import wire_moment
from server.remote import Remote

DRAIN_SECONDS = 3.0


@dataclass(slots=True, eq=False)
class ChatTransport:
    """One client in the namespace: the wire of its connection, and the sink of its messages."""

    events: "ChatEvents"
    sid: str
    ctx: Context
    # By when somebody must have logged in; None once somebody has.
    deadline: asyncio.TimerHandle | None
    connection: Connection = field(init=False)
    # Whose messages the client hears; None before a login, and after the session's end.
    hears: int | None = None
    resuming: asyncio.Task[None] | None = None
    shown: int | None = None  # the digest of whom the client takes for online

    def __post_init__(self) -> None:
        self.connection = self.ctx.hub.open(self)

    @property
    def viewer_id(self) -> int | None:
        """Who has logged in."""
        return self.connection.user_id

    def session_ended(self, reason: str) -> None:
        """Say why, as for a token that was refused, and disconnect."""
        self.stop_hearing()
        self.events.refuse_soon(self.sid, reason)

    def token_expiring(self, expires_at: float) -> None:
        """Send `auth:expiring`."""
        moment = wire_moment(datetime.fromtimestamp(expires_at, UTC))
        self.events.tell(self.sid, "auth:expiring", {"expiresAt": moment})

    def deliver(self, item: StoredMessage, size: int) -> None:
        """Queue a `message:new`; the connection's own bounded queue ends it when it is full."""
        self.events.push_message(self.sid, item)

    def interrupt(self) -> None:
        """End the connection so that its client comes back and resumes."""
        self.events.drop(self.sid)

    def logged_in(self) -> None:
        """Wait for no login any more."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def stop_hearing(self) -> None:
        """Have no messages delivered any more."""
        self.hears = None
        self.shown = None
        self.connection.detach(self)
        if self.resuming is not None:
            self.resuming.cancel()
            self.resuming = None


class ChatServer(SocketServer):
    """Tells those who want no acknowledgement of what failed, in an event."""

    def encode_acknowledgement(self, result: object, number: int) -> EncodedEvent:
        """Encode what a handler of ours returned: one value or none, without bytes."""
        args = [] if result is None else [result]
        return self.encode_text_acknowledgement(number, *args)

    def on_unclaimed(self, sid: str, event: str, result: object) -> None:
        """Send `message:error` for a send that failed."""
        if isinstance(result, dict) and "error" in result:
            self.push(sid, self.encode_text_event("message:error", result))

    def on_held_too_many(self, sid: str, event: str) -> object:
        """Refuse the newest: those before it keep their place."""
        text = "Too many messages wait for auth:login; log in first"
        return error_shape(RateLimited(text, retry_after_ms=1000))


class ChatEvents:
    """Serves Socket.IO under `app`; everything it does is an operation of `resolvers`."""

    def __init__(self, ctx: Context, *, origins: tuple[str, ...], process: str = "") -> None:
        self._ctx = ctx
        self._transports: dict[str, ChatTransport] = {}  # for the library, which knows them so
        self._refusing: set[asyncio.Task[None]] = set()
        self._encoded: tuple[StoredMessage, EncodedEvent] | None = None
        limits = ctx.settings
        self._hold = Hold(limits.max_held_events, limits.max_held_bytes, limits.held_events_seconds)
        self._server = ChatServer(
            origins=origins,
            process=process,
            ping_interval=ceil(limits.ping_interval_seconds),  # the library takes no fractions
            ping_timeout=ceil(limits.ping_timeout_seconds),
            max_payload=limits.max_body_bytes,
            queue_messages=limits.max_queued_messages,
            queue_bytes=limits.max_queued_bytes,
            # Whatever follows a login, in the same breath, is from who logged in.
            exclusive=frozenset({"auth:login"}),
            needs_login=frozenset({"message:private", "message:send"}),
        )
        on = self._server.on
        on("connect", self._connect)
        on("disconnect", self._disconnect)
        on("auth:login", self._log_in)
        on("message:private", self._send_private)
        on("message:send", self._send_broadcast)
        self._online = OnlineLists(
            ctx.presence,
            self._transports,
            encode=self._server.encode_text_event,
            push=self._server.push,
            reads=self._server.reads,
        )
        self._server.eio.has_room = self._has_room
        self._server.eio.count = self._count

    def app(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request or connection, at any path that leads here."""
        return self._server.eio.handle_request(scope, receive, send)

    async def drain(self) -> None:
        """Let sends in flight finish, then close each connection so that its client reconnects."""
        for sid, transport in [*self._transports.items()]:
            if transport.viewer_id is None:
                self._refuse_held(sid)
        await self._server.drain(DRAIN_SECONDS)

    async def close(self) -> None:
        """Tell nobody any more who is online."""
        self._online.close()

    def drop(self, sid: str) -> None:
        """End one connection; its client connects again by itself."""
        self._server.drop(sid)

    def push_message(self, sid: str, message: StoredMessage) -> None:
        """Queue a `message:new` for one connection."""
        if self._encoded is None or self._encoded[0] is not message:
            event = self._server.encode_text_event(
                "message:new", message_shape(message, self._ctx.file_urls)
            )
            self._encoded = (message, event)
        self._server.push(sid, self._encoded[1])

    def _connect(self, sid: str, environ: dict[str, Any], auth: object) -> None:
        """Let anyone connect: nothing reaches them before `auth:login`, which has its time."""
        ctx = environ.get("kept") or self._ctx.called_from(Remote(environ["asgi.scope"]))
        address = ctx.address  # it is read now: the headers are not kept
        environ["kept"] = ctx  # for a client that leaves the namespace and comes back
        # Dropped, a client whose user is still to log in comes back by itself, to wait again.
        loop, seconds = asyncio.get_running_loop(), ctx.settings.auth_login_seconds
        deadline = loop.call_later(seconds, self._give_up, sid)
        self._transports[sid] = ChatTransport(self, sid, ctx, deadline)
        expire = partial(self._refuse_held, sid)
        self._server.hold(sid, HeldEvents(self._hold, address, expire))

    def _give_up(self, sid: str) -> None:
        self._refuse_held(sid)
        self._server.drop(sid)

    def _refuse_held(self, sid: str, error: Exception | None = None) -> None:
        """Tell the client of what it sent before a login that did not come, or failed."""
        try:
            self._ctx.user  # noqa: B018  # what is said to anybody who has not logged in
        except ParleyError as nobody:
            self._server.refuse_held(sid, error_shape(error or nobody))

    def _has_room(self, scope: Scope) -> bool:
        return self._ctx.connection_slots.has_room(self._address(scope))

    def _count(self, scope: Scope) -> Callable[[], None]:
        return self._ctx.connection_slots.count(self._address(scope))

    def _address(self, scope: Scope) -> str:
        return self._ctx.called_from(Remote(scope)).address

    async def _disconnect(self, sid: str, reason: str) -> None:
        if (transport := self._transports.pop(sid, None)) is not None:
            transport.logged_in()
            transport.stop_hearing()
            transport.connection.close()

    async def _log_in(self, sid: str, *arguments: object) -> None:
        transport = self._transports.get(sid)
        if transport is None:
            return  # it is gone
        try:
            body = _payload(arguments)
            token = parse_text(body, "token", "Token").removeprefix("Bearer ").strip()
        except BadInput:
            await self._refuse(sid, "Invalid token")
            return
        try:
            try:
                after = parse_position(body, "after")
            except BadInput:
                await authenticate_login(transport.ctx, token)  # a bad token is told of first
                raise
            ctx = await enter(transport.ctx, transport.connection, token)
        except (Unauthenticated, BadInput) as error:
            await self._refuse(sid, error.message)
            return
        except Exception as error:  # the border: the client hears in its form
            self._turn_away(sid, error)
            return
        if not self.tell(sid, "auth:ok"):
            return  # it ended while its token was being checked
        transport.logged_in()
        transport.ctx = ctx
        if transport.hears != ctx.user.id or after is not None:
            transport.stop_hearing()  # another login on this connection
            transport.hears = ctx.user.id
            if after is None:
                transport.connection.attach(transport)
            else:
                transport.resuming = asyncio.create_task(self._resume(sid, ctx, after))
            self._server.admit(sid)
        self._online.greet(sid)

    async def _refuse(self, sid: str, reason: str) -> None:
        self._refuse_held(sid)
        self.tell(sid, "auth:error", reason)
        await self._server.refuse(sid)

    def _turn_away(self, sid: str, error: Exception) -> None:
        shape = error_shape(error)
        self._server.refuse_held(sid, shape)  # it is told when to send them again
        self.tell(sid, "auth:error", shape["error"], shape)
        self._server.drop(sid)  # not for good: it comes back and tries again

    async def _resume(self, sid: str, ctx: Context, after: int) -> None:
        """Push what came past a position, then what comes, as fast as the client reads."""
        try:
            async with aclosing(watch_messages(ctx, after=after)) as stream:
                async for message in stream:
                    if not await self._server.room(sid):
                        return
                    self.push_message(sid, message)
        except BadInput as error:
            self.tell(sid, "auth:error", error.message)
            await self._server.refuse(sid)
        except SubscriberTooSlow:
            self._server.drop(sid)
        except Exception as error:  # the border: the client comes back and resumes
            self.tell(sid, "message:error", error_shape(error))
            self._server.drop(sid)

    def refuse_soon(self, sid: str, reason: str) -> None:
        """Say why in an `auth:error`, hear nothing more, and disconnect."""
        self.tell(sid, "auth:error", reason)
        refusing = asyncio.create_task(self._server.refuse(sid))
        self._refusing.add(refusing)
        refusing.add_done_callback(self._refusing.discard)

    def tell(self, sid: str, event: str, *arguments: object) -> bool:
        return self._server.push(sid, self._server.encode_text_event(event, *arguments))

    async def _send_private(self, sid: str, *arguments: object) -> MessageShape | ErrorShape:
        return await self._send(sid, arguments, to="somebody")

    async def _send_broadcast(self, sid: str, *arguments: object) -> MessageShape | ErrorShape:
        return await self._send(sid, arguments, to="everybody")

    async def _send(
        self, sid: str, arguments: tuple[object, ...], *, to: Literal["somebody", "everybody"]
    ) -> MessageShape | ErrorShape:
        try:
            transport = self._transports.get(sid)
            nobody = transport is None or transport.viewer_id is None
            ctx = self._ctx if transport is None or nobody else transport.ctx
            ctx.user  # noqa: B018  # the door, before the payload is looked at
            body = _payload(arguments)
            receiver_id = parse_receiver(body) if to == "somebody" else None
            if to == "somebody" and receiver_id is None:
                raise BadInput("toUserId is required")
            sent = await send_message(
                ctx,
                receiver_id=receiver_id,
                content=parse_content(body),
                kind=parse_kind(body),
                attachment_id=parse_attachment(body),
                client_message_id=parse_optional_text(body, "clientMessageId"),
            )
            return message_shape(sent, ctx.file_urls)
        except Exception as error:  # the border: the client hears in its form
            return error_shape(error)


def _payload(arguments: tuple[object, ...]) -> Mapping[str, Any]:
    """Return the event's one argument, which must be an object."""
    if not arguments or not isinstance(arguments[0], dict):
        raise BadInput("The payload must be an object")
    return arguments[0]
