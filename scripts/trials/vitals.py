"""What a server holds of its machine: memory and open files, of itself and of its children."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look.

    Attributes:
        at: seconds on the machine's steady clock.
        kib: memory of the server itself, its share of what it has in common with its children
            included; of files that it has loaded nothing: others come and go who share them.
        child_kib: the same of all its children.
        files: open descriptors of the server itself.
    """

    at: float
    kib: int
    child_kib: int
    files: int


def sample(pid: int) -> Sample:
    """Look at a running process.

    Raises:
        FileNotFoundError, ProcessLookupError: it is gone.
    """
    children = sum(_kib_or_none(child) for child in descendants(pid))
    return Sample(time.monotonic(), _kib(pid), children, open_files(pid))


def open_files(pid: int) -> int:
    """How many descriptors a process has."""
    return len(os.listdir(_PROC / str(pid) / "fd"))


def descendants(pid: int) -> list[int]:
    """Its children, theirs, and so on."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: list[int] = []
    wave = [pid]
    while wave:
        wave = [child for child, parent in parents.items() if parent in wave]
        found += wave
    return found


@dataclass(frozen=True, slots=True)
class Trend:
    """How something changed over a time: its usual value early, late, and what it may grow by."""

    early: float
    late: float
    allowed: float

    @property
    def growth(self) -> float:
        return self.late - self.early

    @property
    def is_flat(self) -> bool:
        """Whether it did not grow by more than is allowed. To fall is no fault."""
        return self.growth <= self.allowed


def trend(values: Sequence[float], *, share: float, least: float) -> Trend:
    """Compare the middle of the first third with the middle of the last.

    A middle is not moved by a moment's peak, and a leak moves every later value.

    Args:
        share, least: how much may be gained: this share of the early value, or this.
    """
    third = max(1, len(values) // 3)
    early, late = median(values[:third]), median(values[-third:])
    return Trend(early, late, max(least, share * early))


def _kib(pid: int) -> int:
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


def _kib_or_none(pid: int) -> int:
    """A child may end while it is looked at."""
    try:
        return _kib(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0
