"""Personal API keys in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chuk.accounts.ports import ApiKey
from chuk.accounts.principal import Scope
from chuk.adapters.sqlite.database import Database
from chuk.adapters.sqlite.moments import (
    begin_of,
    microseconds,
    microseconds_or_none,
    moment,
    moment_or_none,
)
from chuk.adapters.sqlite.purses import make_purse, refuse_locked
from chuk.clock import Clock, utc_now
from chuk.credits.money import MicroEuro

_COLUMNS = """
SELECT id, user_id, name, last_four, scopes, monthly_budget, created_at, expires_at, last_used_at
"""
_FIND = f"{_COLUMNS} FROM api_keys WHERE digest = ?"
_OF_USER = f"{_COLUMNS} FROM api_keys WHERE user_id = ? ORDER BY created_at, id"
_SPENT = """
SELECT coalesce(sum(charged), 0) FROM usage_logs WHERE api_key_id = ? AND created_at >= ?
"""
_ADD = """
INSERT INTO api_keys
    (id, user_id, digest, name, last_four, scopes, monthly_budget, created_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_NOTE_USE = "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE id = ?"


class SqliteApiKeys:
    """An `ApiKeyStore`; each method is described there.

    Args:
        free_messages: what a purse starts with; keys hang on their owner's purse.
    """

    def __init__(self, database: Database, *, free_messages: int, clock: Clock = utc_now) -> None:
        self._database = database
        self._free_messages = free_messages
        self._clock = clock

    async def add(self, key: ApiKey, digest: bytes, *, most: int) -> bool:
        """Keep a key, where there is room for one more."""
        return await self._database.write(_add, key, digest, most, self._free_messages)

    async def find(self, digest: bytes) -> ApiKey | None:
        """The key with this digest."""
        return await self._database.read(_find, digest)

    async def of_user(self, user_id: UUID) -> Sequence[ApiKey]:
        """The user's keys, the oldest first."""
        return await self._database.read(_of_user, user_id, microseconds(self._clock()))

    async def remove(self, user_id: UUID, key_id: UUID) -> bool:
        """Forget a key, for good."""
        return await self._database.write(_remove, user_id, key_id)

    async def note_use(self, key_id: UUID, moment: datetime) -> None:
        """A key was used then."""
        await self._database.write(_note_use, key_id, microseconds(moment))


def _add(
    connection: sqlite3.Connection, key: ApiKey, digest: bytes, most: int, free_messages: int
) -> bool:
    refuse_locked(connection, key.user_id)
    (count,) = connection.execute(
        "SELECT count(*) FROM api_keys WHERE user_id = ?", (key.user_id.bytes,)
    ).fetchone()
    if count >= most:
        return False
    make_purse(connection, key.user_id, free_messages)
    connection.execute(
        _ADD,
        (
            key.id.bytes,
            key.user_id.bytes,
            digest,
            key.name,
            key.last_four,
            " ".join(sorted(key.scopes)),
            key.monthly_budget,
            microseconds(key.created_at),
            microseconds_or_none(key.expires_at),
        ),
    )
    return True


def _find(connection: sqlite3.Connection, digest: bytes) -> ApiKey | None:
    row = connection.execute(_FIND, (digest,)).fetchone()
    return None if row is None else _key(row)


def _of_user(connection: sqlite3.Connection, user_id: UUID, now: int) -> Sequence[ApiKey]:
    month = begin_of("month", now)
    keys = [_key(row) for row in connection.execute(_OF_USER, (user_id.bytes,)).fetchall()]
    return [
        replace(key, spent=connection.execute(_SPENT, (key.id.bytes, month)).fetchone()[0])
        for key in keys
    ]


def _remove(connection: sqlite3.Connection, user_id: UUID, key_id: UUID) -> bool:
    removed = connection.execute(
        "DELETE FROM api_keys WHERE id = ? AND user_id = ?", (key_id.bytes, user_id.bytes)
    )
    return removed.rowcount > 0


def _note_use(connection: sqlite3.Connection, key_id: UUID, moment: int) -> None:
    connection.execute(_NOTE_USE, (moment, key_id.bytes))


def _key(row: tuple[Any, ...]) -> ApiKey:
    (
        key_id,
        user_id,
        name,
        last_four,
        scopes,
        monthly_budget,
        created_at,
        expires_at,
        last_used_at,
    ) = row
    return ApiKey(
        id=UUID(bytes=key_id),
        user_id=UUID(bytes=user_id),
        name=name,
        last_four=last_four,
        scopes=frozenset(map(Scope, scopes.split())),
        monthly_budget=None if monthly_budget is None else MicroEuro(monthly_budget),
        created_at=moment(created_at),
        expires_at=moment_or_none(expires_at),
        last_used_at=moment_or_none(last_used_at),
    )
