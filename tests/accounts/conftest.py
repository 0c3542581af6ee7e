"""What tests of accounts share: time in hand, and the real books on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chuk.accounts.ports import DeletionStore
from chuk.adapters.sqlite.database import Database
from chuk.adapters.sqlite.deletions import SqliteDeletions
from chuk.adapters.sqlite.ledger import SqliteLedger
from tests.accounts.deletions import Time


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def database(tmp_path: Path, time: Time) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "books.sqlite3", time)
    yield opened
    await opened.close()


@pytest.fixture
def deletion_store(database: Database, time: Time) -> DeletionStore:
    return SqliteDeletions(database, clock=time)


@pytest.fixture
def ledger(database: Database, time: Time) -> SqliteLedger:
    return SqliteLedger(database, free_messages=10, clock=time)
