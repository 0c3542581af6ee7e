"""Looks whether a database file is whole, without changing anything in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_BUSY_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. Sizes are bytes.

    Attributes:
        trouble: what is wrong with the file, in SQLite's words; empty: it is whole.
        log_size: of what is committed, but not yet in the file itself.
    """

    trouble: str
    size: int
    log_size: int


def inspect(file: Path) -> Inspection:
    """Read all pages, and compare the indexes in part. A server may be at work meanwhile.

    Raises:
        OSError: there is no such file.
    """
    log = file.with_name(f"{file.name}-wal")
    log_size = log.stat().st_size if log.exists() else 0
    return Inspection(_trouble(file), file.stat().st_size, log_size)


def _trouble(file: Path) -> str:
    address = f"file:{quote(str(file))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_TIMEOUT)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            return "" if found == "ok" else str(found)
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorname", type(error).__name__)
