"""Chat clients of the two protocols, as the workloads use them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import msgspec

from bench.clients.websocket import Socket
from bench.servers.served import sign_token

# (content, receiver's id or None, by which connection): an event that a message is there.
Arrived = Callable[[str, int | None, "ChatClient"], None]


def _nobody(content: str, receiver_id: int | None, client: "ChatClient") -> None:
    """Nothing to do with events."""


class ChatClient(Socket, ABC):
    """A user's connection that hears of new messages and sends them."""

    def __init__(self, user_id: int, arrived: Arrived = _nobody) -> None:
        super().__init__()
        self.user_id = user_id
        self.arrived = arrived
        self.sent = 0
        self.acknowledged = 0

    @abstractmethod
    def say(self, receiver_id: int | None, content: str) -> None:
        """Send a message; to everybody without a receiver."""


class _Message(msgspec.Struct, rename="camel", gc=False):
    """server →: a message, in either protocol; every field that was asked for must be there."""

    id: int | str
    sender_id: int | str
    receiver_id: int | str | None
    content: str
    created_at: str


class _Sent(msgspec.Struct, gc=False):
    id: str


class _Event(msgspec.Struct, gc=False):
    cursor: str
    message: _Message


class _Data(msgspec.Struct, rename="camel", gc=False):
    message_added: _Message | None = None
    events: _Event | None = None
    send_message: _Sent | None = None


class _Result(msgspec.Struct, gc=False):
    data: _Data | None = None
    errors: list[Any] | None = None


class _Frame(msgspec.Struct, gc=False):
    """server →: any message of graphql-transport-ws."""

    type: str
    id: str = ""
    payload: _Result | list[Any] | None = None


MESSAGE = "{ id senderId receiverId content createdAt }"
SUBSCRIPTION = f"subscription {{ messageAdded {MESSAGE} }}"
EVENTS = (
    f"subscription {{ events {{ cursor ... on MessageSent {{ message {MESSAGE} }}"
    " ... on UserChanged { user { id displayName } } } }"
)
SEND = "mutation ($to: ID!, $c: String!) { sendMessage(receiverId: $to, content: $c) { id } }"
SEND_TO_ALL = "mutation ($c: String!) { sendMessage(content: $c) { id } }"


def _operation(query: str) -> bytes:
    return b'"payload":{"query":' + msgspec.json.encode(query)


class GraphQLClient(ChatClient):
    """One graphql-transport-ws socket with a subscription and mutations beside it."""

    path = "/graphql"
    subprotocol = "graphql-transport-ws"
    _frame = msgspec.json.Decoder(_Frame)
    _subscription = b'{"id":"s","type":"subscribe",' + _operation(SUBSCRIPTION) + b"}}"
    _send = _operation(SEND) + b',"variables":{"to":"'
    _send_to_all = _operation(SEND_TO_ALL) + b',"variables":{"c":'

    def opened(self) -> None:
        init = {
            "type": "connection_init",
            "payload": {"authorization": f"Bearer {sign_token(self.user_id)}"},
        }
        self.send(msgspec.json.encode(init))

    def say(self, receiver_id: int | None, content: str) -> None:
        self.sent += 1
        text = msgspec.json.encode(content)
        if receiver_id is None:
            variables = self._send_to_all + text
        else:
            variables = self._send + b'%d","c":' % receiver_id + text
        self.send(b'{"id":"%d","type":"subscribe",' % self.sent + variables + b"}}}")

    def received(self, message: bytes) -> None:
        frame = self._frame.decode(message)
        if frame.type == "next" and isinstance(frame.payload, _Result) and frame.payload.data:
            data = frame.payload.data
            added = data.message_added if data.events is None else data.events.message
            if added is not None:
                receiver = None if added.receiver_id is None else int(added.receiver_id)
                self.arrived(added.content, receiver, self)
                return
            if frame.payload.data.send_message:
                self.acknowledged += 1
                return
        elif frame.type == "complete":
            return
        elif frame.type == "connection_ack":
            self.send(self._subscription)
            self.send(b'{"type":"ping"}')
            return
        elif frame.type == "pong":
            self.ready()
            return
        elif frame.type == "ping":
            self.send(b'{"type":"pong"}')
            return
        self.fail(f"unexpected: {message[:300]!r}")


class EventsClient(GraphQLClient):
    """The same with a subscription to all events."""

    _subscription = b'{"id":"s","type":"subscribe",' + _operation(EVENTS) + b"}}"


class SocketIOClient(ChatClient):
    """One Socket.IO connection over a websocket from the start (Engine.IO 4)."""

    path = "/socket.io/?EIO=4&transport=websocket"
    _event = msgspec.json.Decoder(tuple[str, _Message])
    _acknowledgement = msgspec.json.Decoder(tuple[_Message])

    def received(self, message: bytes) -> None:
        if message.startswith(b'42["message:new",'):
            event = self._event.decode(message[2:])[1]
            assert not isinstance(event.receiver_id, str)  # noqa: S101  # numbers on this wire
            self.arrived(event.content, event.receiver_id, self)
        elif message.startswith(b"43"):
            self._acknowledgement.decode(message[message.index(b"[") :])
            self.acknowledged += 1
        elif message == b"2":
            self.send(b"3")
        elif message.startswith(b"0{"):
            self.send(b"40")
        elif message.startswith(b"40{"):
            self.send(b'42["auth:login",{"token":"%s"}]' % sign_token(self.user_id).encode())
        elif message == b'42["auth:ok"]':
            self.ready()
        elif not message.startswith((b'42["user:online",', b'42["user:offline",')):
            self.fail(f"unexpected: {message[:300]!r}")

    def say(self, receiver_id: int | None, content: str) -> None:
        self.sent += 1
        text = msgspec.json.encode(content)
        if receiver_id is None:
            event = b'["message:send",{"content":%s}]' % text
        else:
            event = b'["message:private",{"toUserId":%d,"content":%s}]' % (receiver_id, text)
        self.send(b"42%d%s" % (self.sent, event))
