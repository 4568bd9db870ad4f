"""How an Engine.IO connection ends, and what its client is told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection ends, and what its client is told."""

    reason: str  # for the disconnect handler
    code: int  # of the close frame, as `note` is
    note: str = ""
    flush: bool = False  # what is queued is sent first
    told: bool = False  # over polling: only a GET that waits is told, a later one gets 400


# None of them sends a Socket.IO DISCONNECT: after one the JavaScript client would not reconnect.
CLIENT_CLOSED = Ending("client disconnect", 1000, told=True)
TRANSPORT_CLOSED = Ending("transport close", 1000, told=True)
BAD_PACKET = Ending("parse error", 1002, "bad packet", told=True)
TOO_LARGE = Ending("parse error", 1009, "too large")
PING_TIMEOUT = Ending("ping timeout", 1001, "ping timeout", told=True)
NEVER_CONNECTED = Ending("connect timeout", 1008, "no CONNECT")
SLOW_READER = Ending("slow reader", 1013, "resume")
DROPPED = Ending("dropped", 1013, "resume", flush=True)
RESTART = Ending("server shutting down", 1012, "restart", flush=True)
REFUSED = Ending("server disconnect", 1000, flush=True)
