"""Takes from a process what hostile code would need: other processes, files, the network.

Only Linux has what this needs; elsewhere these functions do nothing. docs/security.md says what
holds where. The system calls are made by ctypes: no package on PyPI does without C libraries of the
system.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION = 0x20080522  # linux/capability.h, the third

# System calls: their numbers on x86_64 and on aarch64 (-1: that machine has no such call).
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # linux/audit.h
SECCOMP, CAPSET = (317, 277), (126, 91)
# What a loaded decoder needs: memory, its three open files, threads, and the time.
ALLOWED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65),
    "writev": (20, 66), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233),
    "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93), "ftruncate": (77, 46),
    "gettimeofday": (96, 169), "sysinfo": (99, 179), "sigaltstack": (131, 132),
    "gettid": (186, 178), "time": (201, -1), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "set_robust_list": (273, 99),
    "getcpu": (309, 168), "getrandom": (318, 278), "membarrier": (324, 283), "rseq": (334, 293),
}  # fmt: skip
# These are allowed or refused by the bits of an argument (see _program).
MMAP, MPROTECT, CLONE, CLONE3 = (9, 222), (10, 226), (56, 220), (435, 435)
PROT_EXEC = 4
CLONE_THREAD = 0x10000

SECCOMP_SET_MODE_FILTER, SECCOMP_GET_ACTION_AVAIL = 1, 2
FILTER_FLAG_TSYNC = 1  # the filter binds threads that a library has started already, too
KILL_PROCESS, RETURN_ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
EPERM, ENOSYS = 1, 38
# Classic BPF (linux/filter.h), and the offsets of its input (struct seccomp_data).
LOAD, EQUAL, BITS, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, MACHINE, ARGUMENTS = 0, 4, 16

# The same numbers on every machine but Alpha.
LANDLOCK_CREATE, LANDLOCK_RESTRICT = 444, 446
LANDLOCK_VERSION = 1  # a flag: return the kernel's version
# The rights that a process without rules loses, by version.
FILE_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}  # from 5 on there are 16
NETWORK_RIGHTS, SCOPES = 3, 3  # bind and connect (from 4); abstract sockets and signals (from 6)


def hide_memory() -> bool:
    """Keep other processes of this user from reading or tracing this one; end core dumps too.

    Children are not hidden. Returns False where the system cannot do it.
    """
    return _prctl(PR_SET_DUMPABLE, 0)


def missing_containment() -> list[str]:
    """Return the names of what `contain` needs and this system lacks."""
    missing = []
    action = ctypes.c_uint32(KILL_PROCESS)
    if _seccomp(SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)) != 0:
        missing.append("seccomp")
    if _landlock_version() < 1:
        missing.append("Landlock")
    return missing


def contain() -> None:
    """Leave this process nothing but its memory and its open files, for good.

    Afterwards it opens nothing, starts and signals no process, connects to nothing, and loads no
    machine code: import everything before. What the system does not know is left out.
    """
    hide_memory()
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _drop_capabilities()
    _restrict_files()  # needs a free descriptor: before the limit
    limits = [resource.RLIMIT_NOFILE]
    # Linux counts threads as processes, and HEIC's decoder starts threads: there, seccomp allows
    # threads alone.
    limits += [] if sys.platform == "linux" else [resource.RLIMIT_NPROC]
    for limit in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (0, 0))
    _filter_calls()  # allows no setrlimit: last


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    word = ctypes.c_ulong
    return bool(_libc().prctl(option, word(value), word(0), word(0), word(0)) == 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    """Make a system call; below zero when it fails."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(_libc().syscall(ctypes.c_long(number), *words))


def _machine() -> tuple[int, int] | None:
    # A 32-bit Python on a 64-bit kernel makes other calls.
    wide = struct.calcsize("P") == 8
    return MACHINES.get(platform.machine()) if sys.platform == "linux" and wide else None


def _seccomp(operation: int, flags: int, argument: object) -> int:
    machine = _machine()
    return -1 if machine is None else _call(SECCOMP[machine[0]], operation, flags, argument)


def _drop_capabilities() -> None:
    """Take root's powers from a worker whose server runs as root."""
    machine = _machine()
    if machine is not None:
        header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
        _call(CAPSET[machine[0]], header, bytes(24))


def _filter_calls() -> None:
    machine = _machine()
    if machine is None:
        return
    program = b"".join(struct.pack("=HBBI", *each) for each in _program(*machine))
    instructions = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    whole = Program(len(program) // 8, ctypes.addressof(instructions))
    _seccomp(SECCOMP_SET_MODE_FILTER, FILTER_FLAG_TSYNC, ctypes.byref(whole))


def _program(which: int, machine: int) -> list[tuple[int, int, int, int]]:
    """Return the filter: (operation, skip if true, skip if false, operand) for each step."""
    permit, refuse = (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, RETURN_ERRNO | EPERM)
    steps = [
        (LOAD, 0, 0, MACHINE),
        (EQUAL, 1, 0, machine),
        (RETURN, 0, 0, KILL_PROCESS),  # another machine's calls have other numbers
        (LOAD, 0, 0, NUMBER),
    ]
    for numbers in ALLOWED.values():
        if numbers[which] >= 0:
            steps += [(EQUAL, 0, 1, numbers[which]), permit]
    for call, argument, bits, wanted in (
        (MMAP, 2, PROT_EXEC, False),
        (MPROTECT, 2, PROT_EXEC, False),
        (CLONE, 0, CLONE_THREAD, True),  # a thread, and no process
    ):
        answers = (permit, refuse) if wanted else (refuse, permit)
        # Both machines store the lower half of an argument first.
        loaded = (LOAD, 0, 0, ARGUMENTS + 8 * argument)
        steps += [(EQUAL, 0, 4, call[which]), loaded, (BITS, 0, 1, bits), *answers]
    # A filter cannot read the arguments of `clone3`; libraries that lack it use `clone`.
    steps += [(EQUAL, 0, 1, CLONE3[which]), (RETURN, 0, 0, RETURN_ERRNO | ENOSYS), refuse]
    return steps


def _landlock_version() -> int:
    if sys.platform != "linux":
        return 0
    return _call(LANDLOCK_CREATE, None, 0, LANDLOCK_VERSION)


def _restrict_files() -> None:
    version = _landlock_version()
    if version < 1:
        return
    rules = [FILE_RIGHTS.get(version, 0xFFFF)]
    rules += [NETWORK_RIGHTS] if version >= 4 else []
    rules += [SCOPES] if version >= 6 else []
    packed = struct.pack(f"={len(rules)}Q", *rules)
    ruleset = _call(LANDLOCK_CREATE, packed, len(packed), 0)
    if ruleset >= 0:
        _call(LANDLOCK_RESTRICT, ruleset, 0)  # without a rule that allows anything
        os.close(ruleset)
