"""The older Socket.IO events, on the default namespace."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any

from starlette.types import Scope

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
from compat.shapes import MessageShape, edit_shape, message_shape
from compat.socketio.client import Client, Socket
from compat.socketio.login_buffer import BufferBudget, LoginBuffer
from compat.socketio.options import Options
from compat.socketio.packets import EncodedEvent, encode_event
from compat.socketio.server import SocketServer
from db.models import StoredMessage
from events.connection import Connection
from events.facts import Fact, MessageDeleted, MessageEdited
from events.subscription import SubscriberTooSlow
from resolvers.connections import enter
from resolvers.context import Context
from resolvers.errors import BadInput, ParleyError, RateLimited, Unauthenticated
from resolvers.events import watch_by_id
from resolvers.messages import send_message
from resolvers.pending import Pending
from resolvers.people.auth import authenticate_login
from server.moments import wire_moment
from server.remote import Remote

DRAIN_SECONDS = 3.0


@dataclass(slots=True, eq=False)
class ChatSocket(Socket):
    """One client in the namespace: the wire of its connection, and the sink of its messages."""

    ctx: Context
    server: "ChatServer"
    connection: Connection = field(init=False)
    # Ends the wait for a login; None after the login.
    deadline: asyncio.TimerHandle | None = field(init=False, default=None)
    # The user whose messages the client gets; None before a login and after the session's end.
    hears: int | None = field(init=False, default=None)
    resuming: asyncio.Task[None] | None = field(init=False, default=None)
    shown: int | None = field(init=False, default=None)  # see compat/presence.py

    def __post_init__(self) -> None:
        self.connection = self.ctx.hub.open(self)

    @property
    def viewer_id(self) -> int | None:
        """The user who has logged in."""
        return self.connection.user_id

    @property
    def waiting(self) -> int:
        """How many events wait for the client."""
        return len(self.client.engine_socket.outbox)

    def session_ended(self, reason: str) -> None:
        """Say why, as for a token that was refused, and disconnect."""
        self.stop_hearing()
        self.tell("auth:error", reason)
        self.refuse()

    def token_expiring(self, expires_at: float) -> None:
        """Send `auth:expiring`."""
        moment = wire_moment(datetime.fromtimestamp(expires_at, UTC))
        self.tell("auth:expiring", {"expiresAt": moment})

    def deliver(self, item: StoredMessage | Fact, size: int) -> None:
        """Queue the item's event; the session's own bounded queue ends it when it is full."""
        if (encoded := self.server.encode_item(item)) is not None:
            self.push(encoded)

    def interrupt(self) -> None:
        """End the session so that its client comes back and resumes."""
        self.drop()

    def tell(self, event: str, *arguments: object) -> bool:
        """Queue an event for this client alone; False if it is gone or too slow."""
        return self.push(encode_event(event, *arguments))

    def logged_in(self) -> None:
        """Wait no more for a login."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def stop_hearing(self) -> None:
        """Have no more messages delivered."""
        self.hears = None
        self.shown = None
        self.connection.detach(self)
        if self.resuming is not None:
            self.resuming.cancel()
            self.resuming = None


class ChatServer(SocketServer):
    """Serves the older events; whatever a client does is an operation of `resolvers`."""

    def __init__(self, ctx: Context, *, process: str = "") -> None:
        settings = ctx.settings
        super().__init__(
            Options(
                origins=frozenset(settings.cors_origins),
                process=process,
                ping_interval=ceil(settings.ping_interval_seconds),  # clients take no fractions
                ping_timeout=ceil(settings.ping_timeout_seconds),
                max_payload=settings.max_body_bytes,
                queue_messages=settings.max_queued_messages,
                queue_bytes=settings.max_queued_bytes,
                # An event right behind a login is from the user who logs in.
                exclusive=frozenset({"auth:login"}),
                needs_login=frozenset({"message:private", "message:send"}),
            )
        )
        self._ctx = ctx
        self._encoded: tuple[StoredMessage | Fact, EncodedEvent | None] | None = None
        self.clients: set[ChatSocket] = set()
        self.budget = BufferBudget(
            settings.max_held_events, settings.max_held_bytes, settings.held_events_seconds
        )
        self._online = OnlineLists(ctx.presence, self.clients)
        on = self.on
        on("auth:login", self._log_in)
        on("message:private", partial(self._send, to_one=True))
        on("message:send", partial(self._send, to_one=False))

    async def drain(self, timeout: float = DRAIN_SECONDS) -> None:
        """Let sends in flight finish, then close each session so that its client reconnects."""
        for socket in [*self.clients]:
            if socket.viewer_id is None:
                self._refuse_buffered(socket)
        await super().drain(timeout)

    async def close(self) -> None:
        """Tell nobody any more who is online."""
        self._online.close()

    def encode_item(self, item: StoredMessage | Fact) -> EncodedEvent | None:
        """Encode what happened; None for what older clients are not told of.

        The last one is kept, for the next client that gets it.
        """
        if self._encoded is None or self._encoded[0] is not item:
            if type(item) is Fact:
                self._encoded = (item, _encode_fact(item))
            else:
                shape = message_shape(item, self._ctx.file_urls)
                self._encoded = (item, encode_event("message:new", shape))
        return self._encoded[1]

    def has_room(self, scope: Scope) -> bool:
        """Whether the caller's address may open another connection."""
        return self._ctx.connection_slots.has_room(self._called_from(scope).address)

    def count(self, scope: Scope) -> Callable[[], None]:
        """Count a connection for the caller's address; return how to count it off."""
        return self._ctx.connection_slots.count(self._called_from(scope).address)

    def _called_from(self, scope: Scope) -> Context:
        return self._ctx.called_from(Remote(scope))

    def on_connect(self, client: Client, sid: str, auth: object) -> ChatSocket:
        """Let anyone connect: nothing reaches them before `auth:login`, which has its time."""
        ctx = client.kept = client.kept or self._called_from(client.scope)
        address = ctx.address  # read now: the headers are not kept
        socket = ChatSocket(client, sid, ctx, self)
        # A dropped client reconnects by itself, and waits again for its user to log in.
        loop, seconds = asyncio.get_running_loop(), ctx.settings.auth_login_seconds
        socket.deadline = loop.call_later(seconds, self._give_up, socket)
        socket.buffer = LoginBuffer(self.budget, address, partial(self._refuse_buffered, socket))
        self.clients.add(socket)
        return socket

    def on_disconnect(self, socket: Socket, reason: str) -> None:
        """Forget the client."""
        assert isinstance(socket, ChatSocket)  # noqa: S101  # `on_connect` makes no other
        self.clients.discard(socket)
        socket.logged_in()
        socket.stop_hearing()
        socket.connection.close()

    def on_handler_error(self, event: str, error: Exception) -> object:
        """Return the error in the older form."""
        return error_shape(error)

    def on_unclaimed(self, socket: Socket, result: object) -> None:
        """Send `message:error` for a send that failed."""
        if isinstance(result, dict) and "error" in result:
            socket.push(encode_event("message:error", result))

    def on_buffer_full(self) -> object:
        """Refuse the newest event: those before it keep their place."""
        text = "Too many messages wait for auth:login; log in first"
        return error_shape(RateLimited(text, retry_after_ms=1000))

    def _give_up(self, socket: ChatSocket) -> None:
        self._refuse_buffered(socket)
        socket.drop()

    def _refuse_buffered(self, socket: ChatSocket) -> None:
        """Refuse what the client sent before a login that did not come, or failed."""
        try:
            self._ctx.user  # noqa: B018  # raises what anybody hears who has not logged in
        except ParleyError as nobody:
            self.answer_buffered(socket, error_shape(nobody))

    async def _log_in(self, socket: ChatSocket, *arguments: object) -> None:
        try:
            body = _payload(arguments)
            token = parse_text(body, "token", "Token").removeprefix("Bearer ").strip()
        except BadInput:
            self._refuse(socket, "Invalid token")
            return
        try:
            try:
                after = parse_position(body, "after")
            except BadInput:
                await authenticate_login(socket.ctx, token)  # a bad token is told of first
                raise
            ctx = await enter(socket.ctx, socket.connection, token)
        except (Unauthenticated, BadInput) as error:
            self._refuse(socket, error.message)
            return
        except Exception as error:  # the border: the client hears in its form
            self._turn_away(socket, error)
            return
        if not socket.tell("auth:ok"):
            return  # the connection ended while its token was checked
        socket.logged_in()
        socket.ctx = ctx
        if socket.hears != ctx.user.id or after is not None:
            socket.stop_hearing()  # another login on this connection
            socket.hears = ctx.user.id
            if after is None:
                socket.connection.attach(socket, facts_past=ctx.user.broadcasts_after)
            else:
                socket.resuming = asyncio.create_task(self._resume(socket, ctx, after))
            if socket.buffer is not None:
                socket.buffer.admitted = True
        self._online.greet(socket)

    def _refuse(self, socket: ChatSocket, reason: str) -> None:
        self._refuse_buffered(socket)
        socket.tell("auth:error", reason)
        socket.refuse()

    def _turn_away(self, socket: ChatSocket, error: Exception) -> None:
        shape = error_shape(error)
        self.answer_buffered(socket, shape)  # it says when to send them again
        socket.tell("auth:error", shape["error"], shape)
        socket.drop()  # not for good: the client comes back and tries again

    async def _resume(self, socket: ChatSocket, ctx: Context, after: int) -> None:
        """Push what happened past a position, then what is new, as fast as the client reads."""
        try:
            async with aclosing(watch_by_id(ctx, after)) as stream:
                async for item in stream:
                    if isinstance(item, StoredMessage) and item.deleted_at is not None:
                        continue  # its deletion follows, for those who have the message
                    if (encoded := self.encode_item(item)) is None:
                        continue
                    if not await socket.half_read():
                        return
                    socket.push(encoded)
        except BadInput as error:
            socket.tell("auth:error", error.message)
            socket.refuse()
        except SubscriberTooSlow:
            socket.drop()
        except Exception as error:  # the border: the client comes back and resumes
            socket.tell("message:error", error_shape(error))
            socket.drop()

    def _send(self, socket: ChatSocket, *arguments: object, to_one: bool) -> Pending[MessageShape]:
        ctx = self._ctx if socket.viewer_id is None else socket.ctx
        ctx.user  # noqa: B018  # refused here, before the payload is looked at
        body = _payload(arguments)
        receiver_id = parse_receiver(body) if to_one else None
        if to_one and receiver_id is None:
            raise BadInput("toUserId is required")
        sent = send_message(
            ctx,
            receiver_id=receiver_id,
            content=parse_content(body),
            kind=parse_kind(body),
            attachment_id=parse_attachment(body),
            client_message_id=parse_optional_text(body, "clientMessageId"),
        )
        return sent.then(partial(message_shape, urls=ctx.file_urls))


def _encode_fact(fact: Fact) -> EncodedEvent | None:
    """Encode an edit or a deletion, but in groups, of which older clients know nothing."""
    message = fact.record
    if not isinstance(message, StoredMessage) or message.is_of_group:
        return None
    if isinstance(fact.body, MessageDeleted):
        return encode_event("message:deleted", {"id": message.id})
    if isinstance(fact.body, MessageEdited) and message.deleted_at is None:
        return encode_event("message:edited", edit_shape(message))
    return None


def _payload(arguments: tuple[object, ...]) -> Mapping[str, Any]:
    """Return the event's one argument, which must be an object."""
    if not arguments or not isinstance(arguments[0], dict):
        raise BadInput("The payload must be an object")
    return arguments[0]
