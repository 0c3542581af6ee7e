"""The machine: its disk, its memory, its clock, and what a process may open."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn

_GIGABYTE = 10**9
_LITTLE_DISK, _NO_DISK = _GIGABYTE, 200_000_000
_FEW_FILES, _NO_FILES = 10_000, 500
# 2,000 streams, each with its client's and its upstream's connection, and the rest.
_STREAMS = 2_000
DESCRIPTORS = 2 * _STREAMS + 500
_FEW_DESCRIPTORS = 256
_LITTLE_MEMORY, _NO_MEMORY = 1_000_000_000, 384_000_000
_CGROUPS = Path("/sys/fs/cgroup")
# What the kernel answers where nobody keeps its clock right (adjtimex, TIME_ERROR).
_UNKEPT = 5
_TIMEX_BYTES = 512


@dataclass(frozen=True, slots=True)
class Space:
    """What is left on the disk of a folder. `files`: how many more; None: not counted there."""

    folder: str
    free: int
    files: int | None


async def look(examined: Examined) -> list[Finding]:
    """All of it."""
    server = examined.settings.server
    folders = {_existing(server.data_dir), Path(tempfile.gettempdir())}
    spaces = await asyncio.to_thread(lambda: [space_of(each) for each in sorted(folders)])
    findings = [finding for space in spaces for finding in judge_space(space)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        *findings,
        judge_descriptors(soft, hard),
        judge_memory(await asyncio.to_thread(memory_limit)),
        *judge_clock(is_kept=is_clock_kept(), goes_on=time.get_clock_info("monotonic").monotonic),
    ]


def space_of(folder: Path) -> Space:
    """What is left there."""
    counted = os.statvfs(folder)
    files = counted.f_favail if counted.f_files else None
    return Space(str(folder), shutil.disk_usage(folder).free, files)


def judge_space(space: Space) -> list[Finding]:
    """Whether it will do."""
    says = f"{space.free / _GIGABYTE:.1f} GB are free in {space.folder}"
    advice = "Make room: without it no turn can be settled and no file read."
    if space.free < _NO_DISK:
        findings = [fail("disk", says, advice)]
    elif space.free < _LITTLE_DISK:
        findings = [warn("disk", says, advice)]
    else:
        findings = [ok("disk", says)]
    if space.files is not None and space.files < _FEW_FILES:
        judged = fail if space.files < _NO_FILES else warn
        says = f"{space.files} more files fit into {space.folder}"
        findings.append(judged("disk", says, "Remove small files, or use another disk."))
    return findings


def judge_descriptors(soft: int, hard: int) -> Finding:
    """Whether so many open files and connections are enough."""
    if soft == resource.RLIM_INFINITY or soft >= DESCRIPTORS:
        return ok("descriptors", "a process may have as many open as it needs")
    says = f"a process may have {soft} files and connections open (ulimit -n; at most {hard})"
    advice = (
        f"{_STREAMS} streams take {DESCRIPTORS}: LimitNOFILE=65536 in the systemd unit, or "
        "ulimit -n before the start."
    )
    return (fail if soft < _FEW_DESCRIPTORS else warn)("descriptors", says, advice)


def memory_limit() -> int | None:
    """Bytes that this process and its kin may have: the machine's, or less; None: unknown."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    group = Path("/proc/self/cgroup")
    if group.exists():
        for line in group.read_text("ascii").splitlines():
            path = line.rpartition(":")[2].strip("/")
            for folder in (_CGROUPS / path, _CGROUPS / "memory" / path, _CGROUPS):
                for name in ("memory.max", "memory.limit_in_bytes"):
                    limits += _number_in(folder / name)
    return min(limits)


def judge_memory(limit: int | None) -> Finding:
    """Whether it will do for the server, some processes that read files, and 2,000 streams."""
    if limit is None:
        return ok("memory", "it is not known how much there is")
    says = f"{limit / _GIGABYTE:.1f} GB of memory may be used"
    advice = "Give it 1 GB at least (MemoryMax in the systemd unit), 2 GB with embedded models."
    if limit < _NO_MEMORY:
        return fail("memory", says, advice)
    return warn("memory", says, advice) if limit < _LITTLE_MEMORY else ok("memory", says)


def is_clock_kept() -> bool | None:
    """Whether the kernel's clock is kept right by somebody; None: cannot be told here."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        ask = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    answer = ask(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if answer < 0 else answer != _UNKEPT


def judge_clock(*, is_kept: bool | None, goes_on: bool) -> list[Finding]:
    """Whether time can be told by it, and whether waits come to their end."""
    findings = []
    if not goes_on:
        says = "the clock for waits may go back"
        findings.append(fail("clock", says, "Use a system with a monotonic clock."))
    if is_kept is False:
        says = "nobody keeps this machine's clock right"
        advice = (
            "Run a time service: apt-get install systemd-timesyncd (in a container: its host's)."
        )
        findings.append(warn("clock", says, advice))
    return findings or [ok("clock", "it goes on, and is kept right as far as can be told")]


def _existing(folder: Path) -> Path:
    """The folder, or what of its path is there already."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _number_in(file: Path) -> list[int]:
    try:
        text = file.read_text("ascii").strip()
    except OSError:
        return []
    return [int(text)] if text.isdecimal() else []
