"""The sockets that a server listens on: of IPv4 and of IPv6, at one port."""

import errno
import socket
from collections.abc import Sequence

# Connections that wait to be accepted. When a crowd reconnects and does not fit, the system drops
# connections: they come again after seconds, or never. It has its own bound (net.core.somaxconn).
BACKLOG = 16_384
# Where PORT=0: a port that is free for one address may be taken for another.
ATTEMPTS = 20

IPV4_ANY = "0.0.0.0"  # noqa: S104  # what HOST may say
IPV6_ANY = "::"
# A system without IPv6, or with none on its interfaces.
NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


def is_everywhere(host: str) -> bool:
    """Whether such a server is reached by any name of its machine, `localhost` too."""
    return any(name in {"*", IPV4_ANY, IPV6_ANY} for name in _names(host))


def bind(host: str, port: int) -> list[socket.socket]:
    """Return bound sockets for the addresses, which do not listen yet. Raises OSError.

    `host` has names and addresses, separated by commas. Without one, and for `*` or `::`, it is
    every address of both families, of IPv4 alone where the system has no IPv6.
    """
    failure = OSError(errno.EADDRNOTAVAIL, "there is no such address here")
    for _ in range(1 if port else ATTEMPTS):
        bound: list[socket.socket] = []
        try:
            for family, address, optional in _addresses(host):
                chosen = bound[0].getsockname()[1] if bound else port
                try:
                    bound.append(_bind_one(family, address, chosen))
                except OSError as error:
                    if not optional or error.errno not in NO_IPV6:
                        raise
            if bound:
                return bound
        except OSError as error:  # a name that nobody knows is one too
            failure = error
        for listener in bound:
            listener.close()
        if failure.errno != errno.EADDRINUSE:
            break
    where = f"{host} port {port}" if host else f"port {port}"
    raise OSError(f"cannot listen on {where}: {failure.strerror or failure}") from failure


def listen(listeners: Sequence[socket.socket]) -> None:
    """Begin to take connections, which wait in the backlog until they are accepted."""
    for listener in listeners:
        listener.listen(BACKLOG)


def _names(host: str) -> list[str]:
    names = [name.strip().strip("[]") for name in host.split(",") if name.strip()]
    return names or ["*"]


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str, bool]]:
    """Return each address once, and whether the server may do without it."""
    found: dict[str, tuple[socket.AddressFamily, str, bool]] = {}
    for name in _names(host):
        if name in {"*", IPV6_ANY}:
            found[IPV4_ANY] = (socket.AF_INET, IPV4_ANY, False)
            found[IPV6_ANY] = (socket.AF_INET6, IPV6_ANY, True)
            continue
        infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _kind, _protocol, _name, address in infos:
            # `localhost` is two addresses, of which there may be but one.
            found[str(address[0])] = (family, str(address[0]), len(infos) > 1)
    return list(found.values())


def _bind_one(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own, so that its addresses look as they always do.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener
