"""What a deletion leaves of a user's books: nothing before they are closed, then a hash alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from chuk.accounts.ports import DeletionStore
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.credits.ledger import (
    Basis,
    Hold,
    HoldRequest,
    Operation,
    Outcome,
    UsageRecord,
)
from chuk.credits.money import MicroEuro
from chuk.errors import Forbidden
from tests.accounts.deletions import OTHER, USER, Process, Time

USAGE = UsageRecord(
    model_id="qwen/qwen3-32b",
    provider_slug="groq",
    prompt_tokens=10,
    completion_tokens=20,
    total_tokens=30,
    cost_usd=Decimal("0.0001"),
    outcome=Outcome.CANCELLED,
    basis=Basis.UPSTREAM,
    is_zdr=True,
)


@pytest.fixture
def process(deletion_store: DeletionStore, time: Time) -> Process:
    return Process(deletion_store, time, "one")


async def held(ledger: SqliteLedger, time: Time, hold_id: str = "turn") -> Hold:
    return await ledger.open_hold(
        HoldRequest(
            id=hold_id,
            user_id=USER,
            operation=Operation.CHAT,
            model_id=USAGE.model_id,
            provider_slug=USAGE.provider_slug,
            at_most=MicroEuro(5000),
            at_least=MicroEuro(100),
            allows_free_message=True,
            owner="one",
            lease_until=time() + timedelta(minutes=1),
        )
    )


async def test_records_wait_for_a_turn_that_still_holds_credits(
    process: Process, ledger: SqliteLedger, time: Time
) -> None:
    await ledger.grant(USER, MicroEuro(16_000_000), "invoice 1")
    await held(ledger, time)
    assert await process.deletions.request(USER) == ["records", "sign_in"]
    assert process.deletions.failures == {"records": 1}
    assert process.sign_in.users == []
    # It is settled as ever: the deletion takes nothing from the books before they are closed.
    settled = await ledger.settle("turn", MicroEuro(92), USAGE)
    assert (settled.charged, settled.is_new) == (92, True)
    time.pass_(5)
    await process.deletions.run_once()
    assert await process.deletions.request(USER) == []
    assert await ledger.verify() == []


async def test_a_turn_is_settled_by_the_step_that_stops_it_before_records_go(
    process: Process, ledger: SqliteLedger, time: Time
) -> None:
    class Settles:
        name = "turns"

        async def run(self, user_id: object) -> None:
            await ledger.settle("turn", MicroEuro(92), USAGE)

    await held(ledger, time)
    process.deletions = process.with_steps([Settles(), *process.steps[1:]])
    assert await process.deletions.request(USER) == []
    assert not process.deletions.failures


async def test_nothing_is_paid_for_from_the_moment_of_the_request_on(
    process: Process, ledger: SqliteLedger, time: Time
) -> None:
    process.turns.fails_with = [RuntimeError("a defect")]
    await process.deletions.request(USER)
    with pytest.raises(Forbidden):
        await held(ledger, time)


async def test_what_stays_is_a_hash_that_still_refuses(
    process: Process,
    ledger: SqliteLedger,
    time: Time,
    tmp_path: Path,
    deletion_store: DeletionStore,
) -> None:
    await ledger.grant(USER, MicroEuro(16_000_000), "invoice 1")
    await ledger.grant(OTHER, MicroEuro(16_000_000), "invoice 2")
    await held(ledger, time)
    await ledger.settle("turn", MicroEuro(92), USAGE)
    assert traces(tmp_path)
    assert await process.deletions.request(USER) == []

    assert traces(tmp_path) == []
    assert await ledger.verify() == []
    assert (await ledger.purse(OTHER)).available == 16_000_000

    later = Process(deletion_store, time, "after a restart")
    assert await later.deletions.request(USER) == []
    with pytest.raises(Forbidden):
        await Process(deletion_store, time, "another").locks.check(USER)
    with pytest.raises(Forbidden):
        await held(ledger, time, "another turn")
    await later.locks.check(OTHER)
    assert later.journal == []
    assert traces(tmp_path) == []


def traces(folder: Path) -> list[str]:
    """The tables that still name the user, in whatever form."""
    with closing(sqlite3.connect(folder / "books.sqlite3")) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return [table for table in tables if any(map(names_user, values(connection, table)))]


def values(connection: sqlite3.Connection, table: str) -> Iterator[object]:
    for row in connection.execute(f"SELECT * FROM {table}"):
        yield from row


def names_user(value: object) -> bool:
    if isinstance(value, bytes):
        return USER.bytes in value
    return isinstance(value, str) and (str(USER) in value or USER.hex in value)
