"""Writing and finding entries. A trigger moves the balance with each: there is no other way."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from chuk.credits.ledger import EntryKind

_INSERT = """
INSERT INTO ledger_entries
    (user_id, kind, reference, about, available_change, period, epoch, asked, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class Found(NamedTuple):
    """What is asked of an entry that is there."""

    user_id: bytes
    available_change: int
    held_change: int
    free_used_change: int
    epoch: int | None


def enter(
    connection: sqlite3.Connection,
    user_id: bytes,
    kind: EntryKind,
    reference: str,
    available_change: int,
    now: int,
    *,
    about: str | None = None,
    period: int | None = None,
    epoch: int | None = None,
    asked: int | None = None,
) -> None:
    """Add an entry that moves only what is available. Its kind and reference are unique."""
    connection.execute(
        _INSERT,
        (
            user_id,
            kind.value,
            f"{kind.value}:{reference}",
            about,
            available_change,
            period,
            epoch,
            asked,
            now,
        ),
    )


def find(connection: sqlite3.Connection, kind: EntryKind, reference: str) -> Found | None:
    """The entry of this kind and reference."""
    row = connection.execute(
        "SELECT user_id, available_change, held_change, free_used_change, epoch "
        "FROM ledger_entries WHERE reference = ?",
        (f"{kind.value}:{reference}",),
    ).fetchone()
    return None if row is None else Found(*row)
