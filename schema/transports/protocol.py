"""The messages and close codes of graphql-transport-ws (graphql-ws, PROTOCOL.md)."""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any

import msgspec

from schema.execution.requests import GraphQLRequest
from server.json_input import check_json, read_json
from server.moments import wire_moment

SUBPROTOCOL = "graphql-transport-ws"

Payload = dict[str, Any]
OperationId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class CloseCode(IntEnum):
    """Why the server closes a socket.

    After 1012, 1013, 4403, 4408 and 4420 client libraries connect again. To graphql-ws all others
    are final: they are for what a client must not repeat (docs/protocol.md has the table). A
    passing trouble is never 1011.
    """

    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401  # also: the session has ended, or the token has expired
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    TIMEOUT = 4408
    SUBSCRIBER_ALREADY_EXISTS = 4409
    TOO_MANY_CONNECTIONS = 4420
    TOO_MANY_INITIALISATIONS = 4429


class ConnectionInit(msgspec.Struct, tag_field="type", tag="connection_init"):
    """→ server: the first message; the payload may carry the token."""

    payload: Payload | None = None


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """↔: answered by a pong."""

    payload: Payload | None = None


class Pong(msgspec.Struct, tag_field="type", tag="pong"):
    """↔: the peer is alive."""

    payload: Payload | None = None


class Subscribe(msgspec.Struct, tag_field="type", tag="subscribe"):
    """→ server: execute an operation, of whichever type."""

    id: OperationId
    payload: GraphQLRequest


class Complete(msgspec.Struct, tag_field="type", tag="complete"):
    """↔: the operation is over."""

    id: OperationId


ClientMessage = ConnectionInit | Ping | Pong | Subscribe | Complete

_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_encoder = msgspec.json.Encoder()


class SocketRefused(Exception):
    """The connection has to be closed, with this code and reason."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def decode(text: str) -> ClientMessage:
    """Return the client's message. Raises SocketRefused for what is none of the protocol."""
    try:
        message = _decode(text)
    except msgspec.ValidationError as error:
        raise SocketRefused(CloseCode.BAD_REQUEST, f"Invalid message: {error}") from error
    except (ValueError, RecursionError) as error:
        raise SocketRefused(CloseCode.BAD_REQUEST, "Invalid message: not JSON") from error
    if type(message) is Subscribe and not message.payload.has_document:
        text = "Invalid message: Object missing required field `query`"
        raise SocketRefused(CloseCode.BAD_REQUEST, text)
    return message


def _decode(text: str) -> ClientMessage:
    check_json(text)
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        message: ClientMessage = msgspec.convert(read_json(text), ClientMessage)
        return message


def encode(message: dict[str, Any]) -> bytes:
    """Return a server's message as JSON."""
    return _encoder.encode(message)


def token_expiring(expires_at: float) -> dict[str, Any]:
    """Return the server's `ping` that warns of a token's end."""
    moment = wire_moment(datetime.fromtimestamp(expires_at, UTC))
    return {"type": "ping", "payload": {"type": "token_expiring", "expiresAt": moment}}


# The names under which clients put a token into connection_init. HTTP's name goes first.
_TOKEN_NAMES = ("authorization", "authToken", "accessToken", "token")


def authorization(payload: dict[str, Any]) -> str | None:
    """Return the `Authorization` value that a connection_init carries; None when it has none.

    A token may stand without its scheme, and names in any case. An empty value is none: clients
    write `token ? "Bearer …" : ""` before anybody has logged in. Apollo's links put headers into an
    object of their own.
    """
    for carrier in (payload, payload.get("headers")):
        if not isinstance(carrier, dict):
            continue
        values = {name.lower(): value for name, value in carrier.items() if len(name) < 20}
        for name in _TOKEN_NAMES:
            if (value := values.get(name.lower())) not in (None, ""):
                return _with_scheme(value) if isinstance(value, str) else "malformed"
    return None


def _with_scheme(value: str) -> str | None:
    words = value.split(maxsplit=2)
    if words and words[0].lower() == "bearer":
        # A template writes these for a variable that holds no token yet.
        return None if words[1:] in ([], ["null"], ["undefined"]) else value
    if not words:
        return None
    return f"Bearer {words[0]}" if len(words) == 1 else value
