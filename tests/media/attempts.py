"""What hostile code in a worker would try; started in a worker's place, and never shipped.

Arguments: the server's process id, the path of a file that the server can read, then the worker's.
"""

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import BinaryIO

from media import containment, worker
from media.facts import Facts, FileKind

SERVER, PATH = int(sys.argv[1]), sys.argv[2]
LIBC = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def _system_call(number: int, *arguments: int) -> None:
    if LIBC.syscall(number, *map(ctypes.c_long, arguments)) == -1:
        raise OSError(ctypes.get_errno(), str(number))


def _read_memory() -> None:
    place = ctypes.create_string_buffer(16)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(place), 16)
    other = (ctypes.c_void_p * 2)(id(place), 16)
    _call("process_vm_readv", SERVER, vector, 1, other, 1, 0)


def _connect() -> None:
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", 9))


def _connect_locally() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as local:
        local.connect("\0parley")


def _fork() -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


ATTEMPTS: dict[str, Callable[[], object]] = {
    "read a file": lambda: os.open(PATH, os.O_RDONLY),
    "read the system's users": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "write a file": lambda: os.open(PATH, os.O_WRONLY),
    "list a directory": lambda: os.listdir("/"),
    "remove a file": lambda: os.unlink(PATH),
    "change a file's mode": lambda: os.chmod(PATH, 0o777),
    "read the server's memory as a file": lambda: os.open(f"/proc/{SERVER}/mem", os.O_RDONLY),
    "read the server's environment": lambda: os.open(f"/proc/{SERVER}/environ", os.O_RDONLY),
    "read the server's memory": _read_memory,
    "trace the server": lambda: _call("ptrace", 16, SERVER, None, None),  # PTRACE_ATTACH
    "stop the server": lambda: os.kill(SERVER, signal.SIGCONT),
    "look for the server": lambda: os.kill(SERVER, 0),
    "take its descriptors": lambda: _system_call(434, SERVER, 0),  # pidfd_open
    "fork": _fork,
    "start a program": lambda: subprocess.run(["/bin/true"], check=True),
    "become a program": lambda: os.execv("/bin/true", ["true"]),
    "connect": _connect,
    "connect locally": _connect_locally,
    "listen": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "make a pair of sockets": socket.socketpair,
    "run new machine code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "keep code in memory": lambda: os.memfd_create("code"),
    "use io_uring": lambda: _system_call(425, 1, 0),
    "use BPF": lambda: _system_call(321, 0, 0, 0),
    "allow more": lambda: _call("prctl", 23, 0, 0, 0, 0),  # PR_CAPBSET_READ
}


def attempt(file: BinaryIO) -> tuple[Facts, bytes]:
    """Try each; the answer's thumbnail says how it ended: the error's name, or nothing."""
    ended = {}
    for name, try_it in ATTEMPTS.items():
        try:
            try_it()
            ended[name] = ""
        except OSError as error:
            ended[name] = errno.errorcode.get(error.errno or 0, repr(error))
        except Exception as error:
            ended[name] = repr(error)
    file.seek(0)
    ended["own file"] = file.read().decode()
    ended["environment"] = " ".join(sorted(os.environ))
    return Facts(FileKind.FILE), json.dumps(ended).encode()


if __name__ == "__main__":
    worker.prepare = lambda file: attempt
    if sys.argv[3] == "without seccomp":
        containment._filter_calls = lambda: None
    worker.main(sys.argv[4:])
