"""Free TCP ports on the loopback."""

import random
import socket

# Below the ports that systems hand to outgoing connections (32768 and up on Linux): a client that
# keeps dialling a server which is down could otherwise be given that server's own port.
PORTS = range(20_000, 32_000)

_given: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on, never the same one twice in a process."""
    for port in random.sample(PORTS, len(PORTS)):
        if port not in _given and _can_bind(host, port):
            _given.add(port)
            return port
    raise RuntimeError(f"no free port on {host} in {PORTS}")


def _can_bind(host: str, port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind((host, port))
        except OSError:
            return False
    return True
