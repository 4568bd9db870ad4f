"""What travels: a request's parameters, and the messages and close codes of graphql-transport-ws.

The latter as in graphql-ws, PROTOCOL.md.
"""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any

import msgspec

from resolvers.json_input import check_depth, read_json

SUBPROTOCOL = "graphql-transport-ws"

Payload = dict[str, Any]
OperationId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class CloseCode(IntEnum):
    """Why the server closes a socket. After 1012, 1013, 4408 and 4420 a client reconnects."""

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


class GraphQLRequest(msgspec.Struct, rename="camel"):
    """→ server: the parameters of a request over HTTP (GraphQL over HTTP, §5)."""

    query: str
    operation_name: str | None = None
    variables: Payload | None = None
    extensions: Payload | None = None


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


class BadMessage(Exception):
    """Not a message of the protocol; the text says why."""


def decode(text: str) -> ClientMessage:
    """Return the client's message. Raises BadMessage."""
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise BadMessage(f"Invalid message: {error}") from error
    except (ValueError, RecursionError) as error:
        raise BadMessage("Invalid message: not JSON") from error


def _decode(text: str) -> ClientMessage:
    check_depth(text)
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
    moment = datetime.fromtimestamp(expires_at, UTC)
    return {"type": "ping", "payload": {"type": "token_expiring", "expiresAt": moment}}


def authorization(payload: dict[str, Any]) -> str | None:
    """Return the `Authorization` value that a connection_init carries; None when it has none."""
    for name in ("authorization", "Authorization"):
        if (value := payload.get(name)) is not None:
            return value if isinstance(value, str) else "malformed"
    token = payload.get("token")
    if token is None:
        return None
    if not isinstance(token, str):
        return "malformed"
    return token if token.lower().startswith("bearer ") else f"Bearer {token}"
