"""The address of a caller: its own, or the one that a trusted proxy says it has."""

import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Protocol

from resolvers.guards.names import without_stacks, without_unseen
from resolvers.guards.validation import printable

logger = logging.getLogger("parley.addresses")

Address = IPv4Address | IPv6Address

# A provider gives a household at least this much of IPv6: its addresses there are one caller's.
IPV6_PREFIX = 64
# One customer may have the first of these, and one provider has the second: a caller who moves
# about within a network is still counted. Narrowest first, as IPV4_WIDER.
IPV6_WIDER = (48, 32)
IPV4_WIDER = (24,)
MOST_WIDER = max(len(IPV6_WIDER), len(IPV4_WIDER))
MAX_HOPS = 32
MAX_WRITTEN = 64  # an IPv6 address with its zone, in brackets, and a port
MAX_AGENT = 200


class Proxies:
    """The proxies whose `X-Forwarded-For` is believed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._networks = [ip_network(name) for name in names]
        self._warned = False

    def find_client(self, direct: str, forwarded: Iterable[bytes]) -> str:
        """Return the address by which a caller is counted; empty when it is not known.

        Each proxy adds, on the right, the address that called it. So the list is read from the
        right for as long as the proxy that added an entry is trusted, and no further than an entry
        that is no address.
        """
        client = _read(direct)
        if client is None:
            return direct
        if self._trusts(client):
            hops = b",".join(forwarded).rsplit(b",", MAX_HOPS)
            for hop in reversed(hops[-MAX_HOPS:]):
                address = _read(hop.decode("latin-1").strip())
                if address is None:
                    break
                client = address
                if not self._trusts(address):
                    break
        elif client.is_private and not self._warned and any(forwarded):
            # Most likely a proxy of ours; a stranger's header means nothing, and is not logged.
            self._warned = True
            logger.warning(
                "%s sends X-Forwarded-For, and TRUSTED_PROXIES does not name it: whoever comes"
                " through it counts as one address, and meets the limits of one",
                client,
            )
        return _counted(client)

    def trusts(self, direct: str) -> bool:
        """Whether the address is a proxy's that speaks for others."""
        client = _read(direct)
        return client is not None and self._trusts(client)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


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


class Caller:
    """The client that calls; its address and name are read when they are asked for."""

    __slots__ = ("_address", "_client", "_proxies")

    def __init__(self, client: ClientInfo, proxies: Proxies) -> None:
        self._client = client
        self._proxies = proxies
        self._address: str | None = None

    @property
    def address(self) -> str:
        """The address by which the caller is counted; empty when it is not known."""
        if self._address is None:
            self._address = self._proxies.find_client(self._client.address, self._client.forwarded)
        return self._address

    @property
    def agent(self) -> str:
        """The program's name, as it may be shown; empty when there is none."""
        shown = without_unseen(self._client.agent[: 4 * MAX_AGENT].decode(errors="replace"))
        return printable(without_stacks(shown))[:MAX_AGENT]


def _read(text: str) -> Address | None:
    """Return the address, without the port that some proxies add; None for anything else."""
    return None if len(text) > MAX_WRITTEN else _parse(text)  # a longer text is not cached either


@lru_cache(maxsize=4096)
def networks_of(counted: str) -> tuple[str, ...]:
    """Return an address as it is counted, then the wider networks around it; "" has none."""
    try:
        network = ip_network(counted)
    except ValueError:
        return (counted,)
    wider = IPV6_WIDER if network.version == 6 else IPV4_WIDER
    return (counted, *(str(network.supernet(new_prefix=prefix)) for prefix in wider))


@lru_cache(maxsize=1024)
def _parse(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_loopback(counted: str) -> bool:
    """Whether an address, as it is counted, is this machine's own."""
    return counted.startswith("127.") or counted == _LOOPBACK


def _counted(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address) >> 64 << 64, IPV6_PREFIX)))
    return str(address)


_LOOPBACK = _counted(ip_address("::1"))
