"""A whole copy of a database that others write to, and whether it is sound."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


class UnsoundCopy(Exception):
    """SQLite finds the file damaged; the message says where."""


def copy_database(source: Path, target: Path) -> None:
    """Copy one consistent state of it, which nobody waits for; then look for damage.

    Args:
        target: a new file, for its owner alone.

    Raises:
        OSError: a file cannot be opened, or is there already.
        UnsoundCopy: the copy is damaged.
        sqlite3.Error: the disk is full, or the source is no database.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(target, isolation_level=None)) as writing,
    ):
        # In one step: of several, each would begin anew once somebody has written.
        reading.backup(writing)
        # One file, without a log beside it.
        writing.execute("PRAGMA journal_mode = DELETE")
        problems = [row[0] for row in writing.execute("PRAGMA quick_check(5)")]
    if problems != ["ok"]:
        raise UnsoundCopy("; ".join(problems))
