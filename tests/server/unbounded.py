"""Our HTTP protocol as tests of the wire alone need it: it counts nobody."""

from collections.abc import Callable, Iterable

from server.processes.descriptors import MOST_DESCRIPTORS, Descriptors
from server.protocols.http import ImpatientHTTP
from server.protocols.unfinished import Unfinished
from server.protocols.visits import Visits


class Anybody:
    """Callers without an address of their own, of whom any number may come."""

    def is_proxy(self, direct: str) -> bool:
        return False

    def find_client(self, direct: str, forwarded: Iterable[bytes]) -> str:
        return direct

    def has_room(self, address: str) -> bool:
        return True

    def count(self, address: str) -> Callable[[], None]:
        return lambda: None


def unbounded_http(unfinished: Unfinished | None = None) -> type[ImpatientHTTP]:
    """Return the protocol; each path has a WebSocket."""
    attributes = {
        "visits": Visits(Anybody(), Descriptors(MOST_DESCRIPTORS)),
        "unfinished": unfinished or Unfinished(64 * 1024 * 1024),
        "serves_websocket": staticmethod(lambda path: True),
    }
    return type("UnboundedHTTP", (ImpatientHTTP,), attributes)
