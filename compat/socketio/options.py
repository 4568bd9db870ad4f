"""How the Socket.IO server treats its clients."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The bounds and times of all clients. Times are in seconds, sizes in bytes."""

    origins: frozenset[str]  # whose pages may connect, beside our own; "*" is every page
    ping_interval: float = 25
    ping_timeout: float = 20
    max_payload: int = 1_000_000  # of a message, and of the body of a polling request
    queue_messages: int = 1000  # that wait for a client
    queue_bytes: int = 4 * 1024 * 1024
    send_timeout: float = 20
    connect_timeout: float = 45  # for a CONNECT to the namespace
    in_flight: int = 64  # handlers of one client that run at once
    exclusive: frozenset[str] = frozenset()  # events that end before the next one starts
    needs_login: frozenset[str] = frozenset()  # events that wait in a login buffer
    process: str = ""  # begins each session's id, so that its requests find the process
