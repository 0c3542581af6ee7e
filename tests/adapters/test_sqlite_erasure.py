"""What an erased account leaves in the bytes of the SQLite file and its log: nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from chuk.adapters.sqlite.billing import SqliteBilling
from chuk.adapters.sqlite.database import FILE_NAME, Database
from chuk.adapters.sqlite.deletions import SqliteDeletions
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.credits.money import MicroEuro
from chuk.errors import ServiceUnavailable
from tests.contracts.stores import ADA, BOB, hold_request, usage

CUSTOMER = "cus_of_ada_alone"
OTHERS = [UUID(int=number) for number in range(1, 30)]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / FILE_NAME)
    yield opened
    await opened.close()


async def live(database: Database) -> None:
    """Ada and many others chat at once, so that their rows share pages that come and go."""
    ledger = SqliteLedger(database, free_messages=3)
    people = [ADA, *OTHERS]
    for user in people:
        await ledger.grant(user, MicroEuro(1_000_000), f"invoice of {user}")
    await SqliteBilling(database).link_customer(ADA, CUSTOMER)
    for turn in range(12):
        holds = [hold_request(f"{turn} of {user}", 1000, user=user) for user in people]
        await asyncio.gather(*(ledger.open_hold(hold) for hold in holds))
        await asyncio.gather(*(ledger.settle(hold.id, MicroEuro(7), usage()) for hold in holds))


def traces(folder: Path) -> dict[str, int]:
    """How often each file names her."""
    names = (ADA.bytes, str(ADA).encode(), CUSTOMER.encode())
    found = {file.name: file.read_bytes() for file in folder.iterdir()}
    return {name: sum(whole.count(each) for each in names) for name, whole in found.items()}


async def test_no_byte_of_an_erased_account_stays_while_the_server_runs_on(
    database: Database, tmp_path: Path
) -> None:
    await live(database)
    assert sum(traces(tmp_path).values()) > 100
    deletions = SqliteDeletions(database)
    deletion = await deletions.begin(ADA)
    assert deletion is not None
    await deletions.erase_records(ADA)
    await deletions.finish(deletion.id)
    assert set(traces(tmp_path).values()) == {0}
    assert await deletions.is_locked(ADA)
    # The others' books are as they were.
    assert await SqliteLedger(database, free_messages=3).verify() == []


async def test_rows_are_not_erased_before_their_older_versions_are_gone(
    database: Database, tmp_path: Path
) -> None:
    await live(database)
    deletions = SqliteDeletions(database)
    await deletions.begin(ADA)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as reader:
        # Another process that still reads yesterday's state.
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM purses").fetchone()
        with pytest.raises(ServiceUnavailable):
            await deletions.erase_records(ADA)
        # Nobody else waits for it.
        await SqliteLedger(database, free_messages=3).grant(BOB, MicroEuro(1), "a gift")
        reader.execute("COMMIT")
    await deletions.erase_records(ADA)
    wal = traces(tmp_path)[f"{FILE_NAME}-wal"]
    assert wal == 0
