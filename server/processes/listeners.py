"""The sockets that a server listens on: of IPv4 and of IPv6 at one port, and Unix sockets."""

import errno
import os
import socket
import stat
from collections.abc import Sequence

# Connections that wait to be accepted. When a crowd reconnects and does not fit, the system drops
# connections: they come again after seconds, or never. It has its own bound (net.core.somaxconn).
BACKLOG = 16_384
# Where PORT=0: a port that is free for one address may be taken for another.
ATTEMPTS = 20

IPV4_ANY = "0.0.0.0"  # noqa: S104  # what HOST may say
IPV6_ANY = "::"
# How HOST names a Unix socket, by the path of its file.
UNIX = "unix:"
# The peer of a Unix socket is a process of this machine: this is how TRUSTED_PROXIES names it.
UNIX_PEER = "127.0.0.1"
# A system without IPv6, or with none on its interfaces.
NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


def is_everywhere(host: str) -> bool:
    """Whether such a server is reached by any name of its machine, `localhost` too."""
    return any(name in {"*", IPV4_ANY, IPV6_ANY} for name in _names(host))


def describe(listener: socket.socket) -> str:
    """Return where a socket listens, in words."""
    address = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{os.fsdecode(address)}"
    return f"{address[0]} port {address[1]}"


def bind(host: str, port: int, *, socket_mode: int = 0o660) -> list[socket.socket]:
    """Return bound sockets for the addresses, which do not listen yet. Raises OSError.

    `host` has names and addresses, separated by commas. Without one, and for `*` or `::`, it is
    every address of both families, of IPv4 alone where the system has no IPv6. `unix:PATH` is a
    Unix socket, whose file gets `socket_mode`.
    """
    names = _names(host)
    paths = [name.removeprefix(UNIX) for name in names if name.startswith(UNIX)]
    bound = [_bind_unix(path, socket_mode) for path in paths]
    if len(paths) < len(names):
        bound += _bind_port([name for name in names if not name.startswith(UNIX)], port)
    return bound


def _bind_port(names: Sequence[str], port: int) -> list[socket.socket]:
    failure = OSError(errno.EADDRNOTAVAIL, "there is no such address here")
    for _ in range(1 if port else ATTEMPTS):
        bound: list[socket.socket] = []
        try:
            for family, address, optional in _addresses(names):
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
    where = f"port {port}" if list(names) == ["*"] else f"{','.join(names)} port {port}"
    raise OSError(f"cannot listen on {where}: {failure.strerror or failure}") from failure


def listen(listeners: Sequence[socket.socket]) -> None:
    """Begin to take connections, which wait in the backlog until they are accepted."""
    for listener in listeners:
        listener.listen(BACKLOG)


def _names(host: str) -> list[str]:
    names = [name.strip().strip("[]") for name in host.split(",") if name.strip()]
    return names or ["*"]


def _addresses(names: Sequence[str]) -> list[tuple[socket.AddressFamily, str, bool]]:
    """Return each address once, and whether the server may do without it."""
    found: dict[str, tuple[socket.AddressFamily, str, bool]] = {}
    for name in names:
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


def _bind_unix(path: str, mode: int) -> socket.socket:
    """Bind a Unix socket, in place of the file that an ended server has left behind.

    Nothing removes the file at a server's end: it may be its successor's already.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_left_over(path)
        others = os.umask(0o777 & ~mode)  # nobody else may connect before the mode is set
        try:
            listener.bind(path)
        finally:
            os.umask(others)
        os.chmod(path, mode)
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {UNIX}{path}: {error.strerror or error}") from error
    return listener


def _remove_left_over(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "a file that is no socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
