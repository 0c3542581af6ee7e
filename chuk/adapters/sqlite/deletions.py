"""Accounts under deletion in SQLite, and the erasing of their rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from chuk.accounts.ports import Deletion
from chuk.adapters.sqlite.database import Database
from chuk.adapters.sqlite.erasure import erase
from chuk.adapters.sqlite.moments import microseconds, moment
from chuk.adapters.sqlite.purses import is_locked, user_hash
from chuk.clock import Clock, utc_now

_DELETIONS = "SELECT id, user_id, attempts, requested_at FROM deletions"
_BEGIN = """
INSERT INTO deletions (id, user_id, requested_at, due_at) VALUES (?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
_CLAIM = """
UPDATE deletions SET owner = ?1, lease_until = ?2
WHERE id IN (
    SELECT id FROM deletions
    WHERE due_at <= ?3 AND coalesce(lease_until, 0) <= ?3
    ORDER BY due_at, id LIMIT ?4
)
RETURNING id, user_id, attempts, requested_at
"""


class SqliteDeletions:
    """A `DeletionStore`; each method is described there."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, user_id: UUID) -> Deletion | None:
        """Lock the account and record the deletion."""
        return await self._database.write(_begin, user_id, microseconds(self._clock()))

    async def is_locked(self, user_id: UUID) -> bool:
        """Whether the account is under deletion, or erased."""
        return await self._database.read(is_locked, user_id)

    async def locked_since(self, moment: datetime) -> Sequence[UUID]:
        """Users locked since then whose deletion is not finished."""
        return await self._database.read(_locked_since, microseconds(moment))

    async def claim_due(
        self, owner: str, now: datetime, lease_until: datetime, limit: int
    ) -> Sequence[Deletion]:
        """Take deletions that are due."""
        return await self._database.write(
            _claim_due, owner, microseconds(now), microseconds(lease_until), limit
        )

    async def mark_done(self, deletion_id: str, step: str) -> None:
        """A step is done for good."""
        await self._database.write(_mark_done, deletion_id, step)

    async def retry_at(self, deletion_id: str, moment: datetime) -> None:
        """Count an attempt, and make the deletion due again then."""
        await self._database.write(_retry_at, deletion_id, microseconds(moment))

    async def erase_records(self, user_id: UUID) -> None:
        """Delete every row about the user."""
        await self._database.write(erase, user_id)
        await self._database.empty_log()

    async def finish(self, deletion_id: str) -> None:
        """Forget the user id; the salted hash stays."""
        await self._database.write(_finish, deletion_id)
        await self._database.empty_log()


def _begin(connection: sqlite3.Connection, user_id: UUID, now: int) -> Deletion | None:
    erased = connection.execute(
        "SELECT 1 FROM erased_accounts WHERE user_hash = ?", (user_hash(connection, user_id),)
    ).fetchone()
    if erased is not None:
        return None
    connection.execute(_BEGIN, (uuid4().hex, user_id.bytes, now, now))
    row = connection.execute(f"{_DELETIONS} WHERE user_id = ?", (user_id.bytes,)).fetchone()
    return _deletion(connection, row)


def _locked_since(connection: sqlite3.Connection, since: int) -> Sequence[UUID]:
    rows = connection.execute(
        "SELECT user_id FROM deletions WHERE requested_at >= ? ORDER BY requested_at, id", (since,)
    )
    return [UUID(bytes=user_id) for (user_id,) in rows]


def _claim_due(
    connection: sqlite3.Connection, owner: str, now: int, lease_until: int, limit: int
) -> Sequence[Deletion]:
    rows = connection.execute(_CLAIM, (owner, lease_until, now, limit)).fetchall()
    return sorted(
        (_deletion(connection, row) for row in rows), key=lambda each: (each.requested_at, each.id)
    )


def _mark_done(connection: sqlite3.Connection, deletion_id: str, step: str) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO deletion_steps SELECT id, ? FROM deletions WHERE id = ?",
        (step, deletion_id),
    )


def _retry_at(connection: sqlite3.Connection, deletion_id: str, due_at: int) -> None:
    connection.execute(
        "UPDATE deletions SET attempts = attempts + 1, due_at = ?, owner = NULL,"
        " lease_until = NULL WHERE id = ?",
        (due_at, deletion_id),
    )


def _finish(connection: sqlite3.Connection, deletion_id: str) -> None:
    row = connection.execute(f"{_DELETIONS} WHERE id = ?", (deletion_id,)).fetchone()
    if row is None:
        return
    erased = user_hash(connection, UUID(bytes=row[1]))
    connection.execute("INSERT OR IGNORE INTO erased_accounts VALUES (?)", (erased,))
    connection.execute("DELETE FROM deletions WHERE id = ?", (deletion_id,))


def _deletion(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Deletion:
    deletion_id, user_id, attempts, requested_at = row
    steps = connection.execute(
        "SELECT name FROM deletion_steps WHERE deletion_id = ?", (deletion_id,)
    )
    return Deletion(
        id=deletion_id,
        user_id=UUID(bytes=user_id),
        done=frozenset(name for (name,) in steps),
        attempts=attempts,
        requested_at=moment(requested_at),
    )
