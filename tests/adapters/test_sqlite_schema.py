"""Migrations of the SQLite file, from every version there was."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from chuk.adapters.sqlite.database import FILE_NAME, Database
from chuk.adapters.sqlite.schema import SchemaError, migrate, migrations
from chuk.clock import utc_now
from tests.contracts.stores import ADA, hold_request, sqlite_books

VERSIONS = [version for version, _, _ in migrations()]
NAMES = [name for _, name, _ in migrations()]


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


def shape(file: Path) -> list[tuple[str, str]]:
    """Every table, index and trigger as it was made."""
    with opened(file) as connection:
        return connection.execute(
            "SELECT name, coalesce(sql, '') FROM sqlite_master ORDER BY name"
        ).fetchall()


def old_file(file: Path, version: int) -> None:
    """A file of this version, in use: somebody has a purse, a grant and an open hold."""
    with opened(file) as connection:
        migrate(connection, utc_now, up_to=version)
        if version:
            connection.execute(
                "INSERT INTO purses (user_id, free_total, allocated) VALUES (?, 3, 10000)",
                (ADA.bytes,),
            )
            for kind, available, held in (("grant", 10_000, 0), ("hold", -4_000, 4_000)):
                connection.execute(
                    "INSERT INTO ledger_entries (user_id, kind, reference, about,"
                    " available_change, held_change, epoch, created_at)"
                    " VALUES (?, ?, ?, 'old', ?, ?, 0, 0)",
                    (ADA.bytes, kind, f"{kind}:old", available, held),
                )
            connection.execute(
                "INSERT INTO open_holds (id, user_id, amount, is_free_message, operation,"
                " model_id, provider_slug, owner, lease_until, opened_at)"
                " VALUES ('old', ?, 4000, 0, 'chat', 'm', 'p', 'o', 0, 0)",
                (ADA.bytes,),
            )


def test_the_versions_are_numbered_from_one_without_a_gap() -> None:
    assert list(range(1, len(VERSIONS) + 1)) == VERSIONS
    assert len(VERSIONS) > 1


@pytest.mark.parametrize("version", [0, *VERSIONS])
async def test_from_every_earlier_version_the_newest_comes_out_with_everything_kept(
    tmp_path: Path, version: int
) -> None:
    old_file(tmp_path / FILE_NAME, version)
    database = await Database.open(tmp_path / FILE_NAME)
    assert database.applied == NAMES[version:]
    await database.close()
    await (await Database.open(tmp_path / "new")).close()
    assert shape(tmp_path / FILE_NAME) == shape(tmp_path / "new")
    async with sqlite_books(tmp_path) as books:
        assert await books.ledger.verify() == []
        purse = await books.ledger.purse(ADA)
        assert (purse.available, purse.held) == ((6_000, 4_000) if version else (0, 0))
        await books.ledger.open_hold(hold_request("new", 0))
        assert await books.deletions.begin(ADA) is not None


async def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    async with sqlite_books(tmp_path) as books:
        deletion = await books.deletions.begin(ADA)
        assert deletion is not None
        await books.deletions.finish(deletion.id)
    before = shape(tmp_path / FILE_NAME)
    async with sqlite_books(tmp_path) as books:
        # The salt is the same.
        assert await books.deletions.is_locked(ADA)
    assert shape(tmp_path / FILE_NAME) == before


async def test_several_processes_that_open_a_new_file_at_once_migrate_it_once(
    tmp_path: Path,
) -> None:
    databases = await asyncio.gather(*(Database.open(tmp_path / FILE_NAME) for _ in range(4)))
    assert sorted(name for each in databases for name in each.applied) == NAMES
    for each in databases:
        await each.close()


async def test_a_newer_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    await (await Database.open(tmp_path / FILE_NAME)).close()
    with opened(tmp_path / FILE_NAME) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, '0099_later', 0)")
    before = shape(tmp_path / FILE_NAME)
    with pytest.raises(SchemaError, match=r"version 99.* only up to"):
        await Database.open(tmp_path / FILE_NAME)
    assert shape(tmp_path / FILE_NAME) == before


def test_a_file_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    with opened(tmp_path / FILE_NAME) as connection:
        migrate(connection, utc_now, up_to=1)
        connection.execute("CREATE TABLE subscriptions (in_the_way TEXT)")
        before = shape(tmp_path / FILE_NAME)
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, utc_now)
        assert shape(tmp_path / FILE_NAME) == before
        connection.execute("DROP TABLE subscriptions")
        assert migrate(connection, utc_now) == NAMES[1:]
