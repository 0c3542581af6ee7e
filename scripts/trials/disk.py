"""A small disk of its own for the server's data, which can be filled and stuck."""

from __future__ import annotations

import ctypes
import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from chuk.adapters.sqlite.database import FILE_NAME

_SIZE = "64m"
_BLOCK = 65_536


class Disk:
    """Where the server's data is.

    Attributes:
        way: how it is filled: by a file on a small file system, or by a limit on file sizes.
    """

    def __init__(self, folder: Path, *, is_small: bool) -> None:
        self.folder = folder
        self.way = "a tmpfs of 64 MB, filled" if is_small else "RLIMIT_FSIZE of the process at 0"
        self._is_small = is_small
        self._lock: sqlite3.Connection | None = None
        self._limited: int | None = None

    def fill(self, pid: int) -> None:
        """From now on no file of this server can grow, and the books' log has to."""
        if (self.folder / FILE_NAME).exists():
            with closing(sqlite3.connect(self.folder / FILE_NAME, timeout=30)) as books:
                books.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if not self._is_small:
            # May be lifted again: only the soft limit changes.
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            self._limited = pid
            return
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            block = bytes(_BLOCK)
            while block:
                try:
                    filler.write(block)
                except OSError:
                    block = block[: len(block) // 2]

    def stick(self) -> None:
        """From now on nothing can be written into the books: they are somebody else's."""
        self._lock = sqlite3.connect(
            self.folder / FILE_NAME, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._lock.execute("BEGIN IMMEDIATE")

    def clear(self) -> None:
        """All is well again."""
        if self._limited is not None:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(self._limited, resource.RLIMIT_FSIZE, unlimited)
            self._limited = None
        (self.folder / "filler").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.rollback()
            self._lock.close()
            self._lock = None


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A disk at this folder; where nothing may be mounted, a limit stands in for a full one."""
    folder.mkdir()
    if not _mounted(folder):
        yield Disk(folder, is_small=False)
        return
    disk = Disk(folder, is_small=True)
    try:
        yield disk
    finally:
        try:
            disk.clear()
        finally:
            _unmounted(folder)


def _mounted(folder: Path) -> bool:
    if os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _unmounted(folder: Path) -> None:
    # Lazily: whatever still has a file open there must not leave the mount behind.
    detach = 2
    if ctypes.CDLL(None, use_errno=True).umount2(str(folder).encode(), detach) != 0:
        raise OSError(ctypes.get_errno(), f"cannot unmount {folder}")
