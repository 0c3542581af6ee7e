"""The server's own books, read and prepared from outside while it lives or is dead."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from chuk.adapters.sqlite.database import FILE_NAME, Database
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.credits.ledger import Purse, Receipt
from chuk.credits.money import MicroEuro
from tests.harness import eventually

_PATIENCE = 20.0


@dataclass(frozen=True)
class Account:
    """What the books say of a user, once nothing is on hold any more."""

    purse: Purse
    receipts: list[Receipt]


@asynccontextmanager
async def ledger_of(data: Path) -> AsyncIterator[SqliteLedger]:
    """The ledger in a data folder. Opened for a moment only: a crash leaves nobody else's locks."""
    database = await Database.open(data / FILE_NAME)
    try:
        yield SqliteLedger(database, free_messages=10)
    finally:
        await database.close()


async def give(data: Path, user: UUID, amount: int) -> None:
    """Credits in micro-euros, as support would grant them."""
    async with ledger_of(data) as ledger:
        await ledger.grant(user, MicroEuro(amount), f"test {user}")


async def closed_books(data: Path, user: UUID) -> Account:
    """Wait until nothing of the user is on hold, and every balance is explained."""
    await eventually(lambda: open_holds(data, user) == 0, timeout=_PATIENCE)
    async with ledger_of(data) as ledger:
        assert await ledger.verify() == []
        receipts = await ledger.receipts(user, before=None, limit=1_000)
        return Account(await ledger.purse(user), list(receipts))


def open_holds(data: Path, user: UUID) -> int:
    """How many holds, free messages too, are not resolved."""
    with closing(sqlite3.connect(data / FILE_NAME)) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM open_holds WHERE user_id = ?", (user.bytes,)
        ).fetchone()
    return int(count)


def entries(data: Path, user: UUID) -> list[tuple[str, int]]:
    """Every entry of a user: its kind, and what it did to the available credits."""
    with closing(sqlite3.connect(data / FILE_NAME)) as connection:
        return connection.execute(
            "SELECT kind, available_change FROM ledger_entries WHERE user_id = ? ORDER BY id",
            (user.bytes,),
        ).fetchall()


def pending_events(data: Path) -> list[str]:
    """Types of the events that are kept and not applied."""
    with closing(sqlite3.connect(data / FILE_NAME)) as connection:
        rows = connection.execute("SELECT type FROM stripe_events WHERE applied_at IS NULL")
        return [kind for (kind,) in rows]


def dump(data: Path) -> str:
    """Every row of every table, as text."""
    with closing(sqlite3.connect(data / FILE_NAME)) as connection:
        return "\n".join(connection.iterdump())
