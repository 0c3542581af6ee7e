"""What a child process takes from itself before it touches anything that somebody sent.

Runs inside the child, first of all. What the kernel offers is used: on Linux everything, on other
systems the limits and the group alone.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import resource
import signal
import struct
import sys
import termios
from contextlib import suppress
from pathlib import Path

_SET_DEATH_SIGNAL, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 1, 22, 38
_SECCOMP_FILTER = 2
_NEW_USER_AND_NETWORK = 0x10000000 | 0x40000000
_LARGEST_FILE = 256 * 2**20
_MOST_FILES = 256
_NICENESS = 10
# Machine: its AUDIT_ARCH of linux/audit.h, and its number of socket(2).
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP = 425
_FOREIGN_CALLS = 0x40000000  # the x32 numbers, which mean the same calls over again
# Of linux/bpf_common.h and linux/seccomp.h.
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 13


def confine(*, parent: int, memory: int, cpu: float | None) -> None:
    """Bind this process: it ends with its parent, and has little memory, time and no network.

    Args:
        parent: the process that started this one.
        memory: bytes of address space.
        cpu: seconds for its whole life; None: see `allow_cpu`.
    """
    die_with(parent)
    # A core file would hold what people wrote.
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        (resource.RLIMIT_NOFILE, _MOST_FILES),
    ):
        limit(what, most)
    if cpu is not None:
        limit(resource.RLIMIT_CPU, max(1, round(cpu)))
    # macOS has no such file.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    cut_off_network()


def step_back() -> None:
    """Leave the core to the server whenever it has something to do; what is forked inherits that.

    Not in a session of its own, see `leave_terminal`: a server that wakes up would wait for this
    process's turn to end, up to four milliseconds, whatever its priority.
    """
    leave_terminal()
    # All there is on other systems, and where a container refuses the next call.
    os.nice(_NICENESS)
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def leave_terminal() -> None:
    """Be in a group of its own, by which it can be ended with all that it starts, at no terminal.

    A session of its own would do that too, but Linux may share a core between sessions first, and
    heed priorities only within each (autogroups, see sched(7)).
    """
    os.setpgrp()
    # Most servers have none.
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.ioctl(terminal, termios.TIOCNOTTY)
        finally:
            os.close(terminal)


def set_session_back() -> None:
    """Where Linux shares a core between sessions first, let all others have most of it."""
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS))


def end_group(leader: int, *, is_buried: bool = False) -> None:
    """Kill a process with all that it started; `is_buried`: only what it left behind."""
    # One that has been taken over may have left its group.
    for kill in (os.killpg,) if is_buried else (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(leader, signal.SIGKILL)


def limit(what: int, most: int) -> None:
    """Lower a limit for good, as far as it is not lower yet."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    # macOS knows some of the limits and refuses to set them.
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (most, most))


def allow_cpu(seconds: float) -> None:
    """Let this process run for so many seconds more, after which the kernel ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = round(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


def cut_off_network() -> bool:
    """Give this process no way to open a socket, where the kernel lets us; tells whether it did."""
    if sys.platform != "linux":
        return False
    if _refuse_sockets():
        return True
    return bool(ctypes.CDLL(None).unshare(_NEW_USER_AND_NETWORK) == 0)


def _refuse_sockets() -> bool:
    """Load a seccomp filter that answers socket(2) with EACCES.

    io_uring could open sockets too, so it is refused as well.
    """
    if platform.machine() not in _MACHINES or sys.byteorder != "little":
        return False
    architecture, socket_call = _MACHINES[platform.machine()]
    steps = [
        (_LOAD, 0, 0, 4),  # the architecture of the call
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # its number
        (_AT_LEAST, 2, 0, _FOREIGN_CALLS),
        (_EQUAL, 1, 0, socket_call),
        (_EQUAL, 0, 1, _IO_URING_SETUP),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None).prctl
    if prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    return bool(prctl(_SET_SECCOMP, _SECCOMP_FILTER, program, 0, 0) == 0)


def die_with(parent: int) -> None:
    """Where the kernel can, let it end this process with its parent, whatever happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    # It may have died before we asked.
    if os.getppid() != parent:
        os._exit(1)
