"""Brings a database to the newest version, file by file."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from chuk.adapters.sqlite.moments import microseconds
from chuk.clock import Clock

_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT
"""


class SchemaError(Exception):
    """The database cannot be used by this version; the message is for an operator."""


def migrate(connection: sqlite3.Connection, clock: Clock, *, up_to: int | None = None) -> list[str]:
    """Apply what is missing, each file in a transaction of its own; return the names.

    Args:
        connection: in autocommit mode.
        up_to: the last version wanted; None for the newest.

    Raises:
        SchemaError: the database is of a newer version than this code.
    """
    connection.execute(_VERSIONS)
    known = migrations()
    _refuse_newer(newest := _newest(connection), known[-1][0])
    wanted = known if up_to is None else known[:up_to]
    applied = [
        name
        for version, name, script in wanted
        if version > newest and _apply(connection, version, name, script, microseconds(clock()))
    ]
    if up_to is None:
        _make_salt(connection)
    return applied


def migrations() -> list[tuple[int, str, str]]:
    """Every version there is, in order from 1: its number, its name, its SQL."""
    folder = files("chuk.adapters.sqlite.migrations")
    scripts = (entry for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return sorted(
        (int(script.name[:4]), script.name.removesuffix(".sql"), script.read_text("utf-8"))
        for script in scripts
    )


def _refuse_newer(newest: int, known: int) -> None:
    if newest > known:
        raise SchemaError(
            f"the database is of version {newest}, but this program knows only up to {known}: "
            "run the newer program, or restore a backup"
        )


def _newest(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_migrations").fetchone()
    return int(row[0])


def _apply(connection: sqlite3.Connection, version: int, name: str, script: str, now: int) -> bool:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done the same while this one waited for the lock.
        is_missing = _newest(connection) < version
        if is_missing:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_migrations VALUES (?, ?, ?)", (version, name, now)
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return is_missing


def _make_salt(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT 1 FROM erasure_salt").fetchone() is None:
        connection.execute(
            "INSERT OR IGNORE INTO erasure_salt VALUES (1, ?)", (secrets.token_bytes(32),)
        )


def _statements(script: str) -> Iterator[str]:
    """One by one: `executescript` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
