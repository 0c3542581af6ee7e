"""The rows of purses, and whether a user may have any."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import NamedTuple
from uuid import UUID

from chuk.errors import Forbidden

_SELECT = """
SELECT available, held, allocated, period, epoch, free_total, free_used, daily_cap, monthly_cap
FROM purses WHERE user_id = ?
"""
_INSERT = "INSERT INTO purses (user_id, free_total) VALUES (?, ?) ON CONFLICT DO NOTHING"


class PurseRow(NamedTuple):
    """One row of `purses`, as it is kept."""

    available: int
    held: int
    allocated: int
    period: int | None
    epoch: int
    free_total: int
    free_used: int
    daily_cap: int | None
    monthly_cap: int | None


def find_purse(connection: sqlite3.Connection, user_id: UUID) -> PurseRow | None:
    """The user's purse; None before it came into being."""
    row = connection.execute(_SELECT, (user_id.bytes,)).fetchone()
    return None if row is None else PurseRow(*row)


def make_purse(connection: sqlite3.Connection, user_id: UUID, free_messages: int) -> None:
    """Let the purse come into being."""
    connection.execute(_INSERT, (user_id.bytes, free_messages))


def purse_made(connection: sqlite3.Connection, user_id: UUID, free_messages: int) -> PurseRow:
    """The user's purse, new where there was none.

    An account under deletion gets none any more: for it, the purse exists in the answer alone.
    """
    row = find_purse(connection, user_id)
    if row is None:
        row = PurseRow(0, 0, 0, None, 0, free_messages, 0, None, None)
        if not is_locked(connection, user_id):
            make_purse(connection, user_id, free_messages)
    return row


def is_locked(connection: sqlite3.Connection, user_id: UUID) -> bool:
    """Whether the account is under deletion, or erased."""
    locked = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM deletions WHERE user_id = ?) "
        "OR EXISTS (SELECT 1 FROM erased_accounts WHERE user_hash = ?)",
        (user_id.bytes, user_hash(connection, user_id)),
    ).fetchone()
    return bool(locked[0])


def refuse_locked(connection: sqlite3.Connection, user_id: UUID) -> None:
    """Raises `Forbidden` where the account is under deletion, or erased."""
    if is_locked(connection, user_id):
        raise Forbidden


def user_hash(connection: sqlite3.Connection, user_id: UUID) -> bytes:
    """What stays of an erased user id."""
    (salt,) = connection.execute("SELECT salt FROM erasure_salt").fetchone()
    return hashlib.sha256(salt + user_id.bytes).digest()
