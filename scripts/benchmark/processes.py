"""Processes that are pinned to cores, measured, and always ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

_PRIORITY = -15
_REAL_TIME = 1
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class StartFailed(Exception):
    """A process that ended, or did not answer, when it should have started."""


class Pinned:
    """A running program on fixed cores, in a session of its own; leaving the block ends it.

    Args:
        name: for messages, and for the file that takes its output.
        command: the program and its arguments.
        cores: where it may run.
        folder: where its output goes.
        environment: all it gets beside the search path, so that nobody's own settings count.
        home: the working folder; this process's own where none is given.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        cores: Sequence[int],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        home: Path | None = None,
    ) -> None:
        self.name = name
        self.cores = tuple(cores)
        self.output = folder / f"{name}.log"
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                pinned(command, cores),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean_environment(environment or {}),
                cwd=home,
                start_new_session=True,
            )
        take_precedence(self._process.pid)
        self._members = [self._process.pid]

    @property
    def pid(self) -> int:
        """Of the program itself, not of its children."""
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 30) -> None:
        """Wait for the program to be ready, then note which processes it consists of.

        Raises:
            StartFailed: it ended, or was not ready in time; shows the end of its output.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None:
                raise StartFailed(f"{self.name} ended at start:\n{self._last_lines()}")
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"{self.name} was not ready in {seconds:g} s:\n{self._last_lines()}"
                )
            time.sleep(0.05)
        self._members = _members(self._process.pid)

    def cpu_seconds(self) -> float:
        """User and system time so far, of the program and its children."""
        return sum(_cpu_ticks(pid) for pid in self._members) / _TICKS_PER_SECOND

    def foreign_seconds(self) -> float:
        """What everything else on the machine has taken of these cores so far, steal included."""
        return _busy_seconds(self.cores) - self.cpu_seconds()

    def memory_kib(self) -> int:
        """Proportional set size: shared pages count by their share."""
        return sum(_pss_kib(pid) for pid in self._members)

    def stop(self) -> None:
        """End the program and everything it started."""
        if self._process.poll() is None:
            _signal_group(self._process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        _signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Pinned:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self._process.poll() is not None:
            error.add_note(f"{self.name} had ended:\n{self._last_lines()}")
        self.stop()

    def _last_lines(self) -> str:
        lines = self.output.read_text(errors="replace").splitlines()
        return "\n".join(line[:160] for line in lines[-10:]) or "(it printed nothing)"


def take_precedence(pid: int) -> None:
    """Put a process, and what it starts, before other programs; only root may, others go on."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, _PRIORITY)
        # Where the kernel shares the processor out by session, the session's own weight counts.
        _autogroup(pid).write_text(str(_PRIORITY))


def keep_time(pid: int) -> None:
    """Let a process run the moment it has something to do; not its children. Only root may.

    The paced upstream and its clients share a core. By turns of 3 ms, as the kernel gives them to
    equals, the upstream falls behind while the clients read, and then sends in bursts that no
    model server sends: the delays would say how a relay stands those.
    """
    with suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_REAL_TIME))


@contextmanager
def keeping_time() -> Iterator[None]:
    """The same for this process, for as long as the block runs."""
    keep_time(0)
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def precedence() -> Iterator[None]:
    """Let this process take precedence for as long as the block runs."""
    session = _autogroup(os.getpid())
    before = session.read_text().split()[-1] if session.exists() else None
    take_precedence(os.getpid())
    try:
        yield
    finally:
        # The terminal that this was started from is of the same session.
        if before is not None:
            with suppress(OSError):
                session.write_text(before)


@contextmanager
def alone(say: Callable[[str], None]) -> Iterator[None]:
    """Let no other benchmark run on this machine meanwhile: two would measure each other."""
    # A name in the kernel's own namespace: it goes when this process goes, however it ends.
    with socket.socket(socket.AF_UNIX) as name:
        waiting = False
        while True:
            try:
                name.bind("\0chuk-benchmark")
                break
            except OSError:
                if not waiting:
                    say("Another benchmark runs on this machine; waiting for its end.")
                waiting = True
                time.sleep(1)
        yield


def _autogroup(pid: int) -> Path:
    return Path(f"/proc/{pid}/autogroup")


def pinned(command: Sequence[str], cores: Sequence[int]) -> list[str]:
    """The command, kept on these cores."""
    # setpriv: the kernel ends the program even when this process is killed outright.
    return [
        *["setpriv", "--pdeathsig", "KILL"],
        *["taskset", "-c", ",".join(map(str, cores))],
        *command,
    ]


def clean_environment(added: Mapping[str, str]) -> dict[str, str]:
    """The variables that any program needs, and these."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **added}


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Whether something listens on this port of the loopback address."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _stat_fields(pid: int) -> list[str]:
    """The fields of `/proc/<pid>/stat` after the program's name, which may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _members(leader: int) -> list[int]:
    """The processes of a session and all that they started, in whatever session that is."""
    parents: dict[int, int] = {}
    members = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            pid = int(entry.name)
            try:
                fields = _stat_fields(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[pid] = int(fields[1])
            if int(fields[3]) == leader:
                members.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= more
    return sorted(members)


def _cpu_ticks(pid: int) -> int:
    user, system, waited_user, waited_system = _stat_fields(pid)[11:15]
    return int(user) + int(system) + int(waited_user) + int(waited_system)


def _busy_seconds(cores: Sequence[int]) -> float:
    busy = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name in {f"cpu{core}" for core in cores}:
            user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, ticks[:8])
            busy += user + nice + system + irq + softirq + steal
    return busy / _TICKS_PER_SECOND


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError(f"no Pss for process {pid}")
