"""The client behind a proxy: what an `X-Forwarded-For` says, if the proxy is trusted."""

import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

logger = logging.getLogger("parley.addresses")

Address = IPv4Address | IPv6Address

# A provider gives a household at least this much of IPv6: its addresses there are one caller's.
IPV6_PREFIX = 64
MAX_HOPS = 32
MAX_WRITTEN = 64  # an IPv6 address with its zone, in brackets, and a port


class Proxies:
    """The proxies whose `X-Forwarded-For` is believed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._networks = [ip_network(name) for name in names]
        self._warned = False

    def find_client(self, direct: str, forwarded: Iterable[bytes]) -> str:
        """Return the address by which a caller is counted; empty when it is not known."""
        client = self._find(direct, forwarded)
        return direct if client is None else _counted(client)

    def show_client(self, direct: str, forwarded: Iterable[bytes]) -> str:
        """Return the caller's own address, for log lines; empty when it is not known."""
        client = self._find(direct, forwarded)
        return direct if client is None else str(client)

    def _find(self, direct: str, forwarded: Iterable[bytes]) -> Address | None:
        """Return the caller's address.

        Each proxy adds, on the right, the address that called it. So the list is read from the
        right for as long as the proxy that added an entry is trusted, and no further than an entry
        that is no address.
        """
        client = _read(direct)
        if client is None:
            return None
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
        return client

    def is_proxy(self, direct: str) -> bool:
        """Whether the address is that of a trusted proxy, which speaks for others."""
        client = _read(direct)
        return client is not None and self._trusts(client)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _read(text: str) -> Address | None:
    """Return the address, without the port that some proxies add; None for anything else."""
    return None if len(text) > MAX_WRITTEN else _parse(text)  # a longer text is not cached either


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


def _counted(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address) >> 64 << 64, IPV6_PREFIX)))
    return str(address)
