"""The sockets that a server listens on: of IPv4 and of IPv6, at one port."""

import errno
import socket
from collections.abc import Sequence

# A crowd that reconnects at once waits here to be accepted. What does not fit is dropped, and comes
# again after seconds, or never. The system has a bound of its own (net.core.somaxconn).
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
    for attempt in range(ATTEMPTS):
        bound: list[socket.socket] = []
        chosen = port
        try:
            for family, address, optional in _addresses(host):
                listener = _bind_one(family, address, chosen, optional=optional)
                if listener is not None:
                    bound.append(listener)
                    chosen = listener.getsockname()[1]
            if bound:
                return bound
            raise OSError(errno.EADDRNOTAVAIL, "there is no such address here")
        except OSError as error:  # a name that nobody knows is one too
            for listener in bound:
                listener.close()
            another = port == 0 and bound and error.errno == errno.EADDRINUSE
            if not another or attempt == ATTEMPTS - 1:
                raise _explained(error, host, port) from error
    raise AssertionError  # the last attempt returned or raised


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


def _bind_one(
    family: socket.AddressFamily, address: str, port: int, *, optional: bool
) -> socket.socket | None:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if optional and error.errno in NO_IPV6:
            return None
        raise
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own, so that its addresses look as they always do.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        if optional and error.errno in NO_IPV6:
            return None
        raise
    return listener


def _explained(error: OSError, host: str, port: int) -> OSError:
    where = f"{host} port {port}" if host else f"port {port}"
    return OSError(f"cannot listen on {where}: {error.strerror or error}")
