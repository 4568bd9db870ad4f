"""The address of a caller, and the networks around it."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network
from typing import Protocol

from resolvers.guards.names import without_stacks, without_unseen
from resolvers.guards.validation import printable

# One customer may have the first of these, and one provider has the second: a caller who moves
# about within a network is still counted. Narrowest first, as IPV4_WIDER.
IPV6_WIDER = (48, 32)
IPV4_WIDER = (24,)
MOST_WIDER = max(len(IPV6_WIDER), len(IPV4_WIDER))
MAX_AGENT = 200


class Proxies(Protocol):
    """The proxies that are trusted (server/proxies.py)."""

    def find_client(self, direct: str, forwarded: Iterable[bytes]) -> str:
        """Return the address by which a caller is counted; empty when it is not known."""

    def show_client(self, direct: str, forwarded: Iterable[bytes]) -> str:
        """Return the caller's own address, for log lines; empty when it is not known."""

    def is_proxy(self, direct: str) -> bool:
        """Whether the address is that of a trusted proxy, which speaks for others."""


class ClientInfo(Protocol):
    """What the transport knows of the client that calls (server/remote.py)."""

    @property
    def address(self) -> str:
        """The address that is connected to the server; empty when it is not known."""

    @property
    def forwarded(self) -> Iterable[bytes]:
        """The lists of addresses for which the client says that it speaks."""

    @property
    def agent(self) -> bytes:
        """The name of the client's program; empty when it is not known."""

    @property
    def request_id(self) -> str:
        """The name of the request, or of the connection, in logs."""


class Caller:
    """The client that calls; its address and name are read when they are asked for."""

    __slots__ = ("_address", "_client", "_proxies")

    def __init__(self, client: ClientInfo, proxies: Proxies) -> None:
        self._client = client
        self._proxies = proxies
        # Kept once it is read: the headers of an open socket are dropped after its handshake.
        self._address: str | None = None

    @property
    def address(self) -> str:
        """The address by which the caller is counted; empty when it is not known."""
        if self._address is None:
            self._address = self._proxies.find_client(self._client.address, self._client.forwarded)
        return self._address

    @property
    def request_id(self) -> str:
        """The name of the request, or of the connection, in logs."""
        return self._client.request_id

    @property
    def agent(self) -> str:
        """The program's name, as it may be shown; empty when there is none."""
        shown = without_unseen(self._client.agent[: 4 * MAX_AGENT].decode(errors="replace"))
        return printable(without_stacks(shown))[:MAX_AGENT]


@lru_cache(maxsize=4096)
def networks_of(counted: str) -> tuple[str, ...]:
    """Return an address as it is counted, then the wider networks around it; "" has none."""
    try:
        network = ip_network(counted)
    except ValueError:
        return (counted,)
    wider = IPV6_WIDER if network.version == 6 else IPV4_WIDER
    return (counted, *(str(network.supernet(new_prefix=prefix)) for prefix in wider))


def is_loopback(counted: str) -> bool:
    """Whether an address, as it is counted, is this machine's own."""
    return counted.startswith("127.") or counted == "::/64"  # ::1, counted as all of IPv6 is
