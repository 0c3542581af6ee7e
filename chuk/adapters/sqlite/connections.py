"""The connections to one SQLite file: how they are set up, and its log emptied."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import structlog

from chuk.adapters.sqlite.schema import migrate
from chuk.clock import Clock
from chuk.errors import ServiceUnavailable

_BUSY_TIMEOUT = 5000
# The log is emptied while nobody writes: whoever still reads an old state is not waited for long.
_EMPTYING_TIMEOUT = 200

_log = structlog.get_logger(part="sqlite")


def open_pair(
    file: Path, clock: Clock
) -> tuple[sqlite3.Connection, sqlite3.Connection, Sequence[str]]:
    """One connection that writes, one that only reads, and the migrations that were applied.

    Raises:
        OSError: the folder or the file cannot be made.
        SchemaError: the file is of a newer version than this code.
        ServiceUnavailable: SQLite cannot open it.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # The books are nobody else's to read; SQLite gives its side files the same mode.
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        writer = _connect(file)
        try:
            writer.execute("PRAGMA journal_mode = WAL")
            applied = migrate(writer, clock)
            reader = _connect(file)
        except BaseException:
            writer.close()
            raise
        reader.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        report(error)
        raise ServiceUnavailable from error
    return writer, reader, applied


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        file, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    for setting in (
        f"busy_timeout = {_BUSY_TIMEOUT}",
        "synchronous = FULL",
        "foreign_keys = ON",
        # So that a REPLACE cannot remove an entry of the ledger behind its trigger.
        "recursive_triggers = ON",
        "temp_store = MEMORY",
        # What is deleted is overwritten, so that an erased account leaves no trace.
        "secure_delete = ON",
        "journal_size_limit = 67108864",
    ):
        connection.execute(f"PRAGMA {setting}")
    return connection


def empty_log(file: Path) -> None:
    """Let the older versions of all rows go.

    Raises:
        ServiceUnavailable: somebody still reads them, or the disk refuses.
    """
    try:
        with closing(_connect(file)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {_EMPTYING_TIMEOUT}")
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        report(error)
        raise ServiceUnavailable from error
    if is_busy:
        raise ServiceUnavailable


def report(error: sqlite3.Error) -> None:
    """Log what the disk did, without the statement."""
    reason = getattr(error, "sqlite_errorname", None)
    _log.error("database_failed", error=type(error).__name__, reason=reason)
