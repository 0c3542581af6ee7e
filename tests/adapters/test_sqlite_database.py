"""The SQLite file: one commit for all who wait, and what happens when the disk refuses."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from chuk.adapters.sqlite.database import FILE_NAME, Database, _Work, _write_all
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.credits.ledger import Progress
from chuk.credits.money import MicroEuro
from chuk.errors import ServiceUnavailable
from tests.contracts.stores import ADA, BOB, hold_request, usage


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / FILE_NAME)
    await opened.write(_make_table)
    yield opened
    await opened.close()


def _make_table(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE names (name TEXT UNIQUE)")


def add(connection: sqlite3.Connection, name: str) -> int:
    """Write a name; returns how many there are."""
    connection.execute("INSERT INTO names VALUES (?)", (name,))
    return len(names(connection))


def add_then_fail(connection: sqlite3.Connection, name: str) -> None:
    add(connection, name)
    raise ZeroDivisionError


def add_many(connection: sqlite3.Connection, wanted: Sequence[str]) -> list[int | Exception]:
    """Write several names; those of one letter are refused."""
    return [add(connection, name) if len(name) > 1 else KeyError(name) for name in wanted]


def names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM names ORDER BY rowid")]


class Gate:
    """A write that holds the writer until it is opened, so that others queue up behind it."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._opened = threading.Event()

    def __call__(self, _connection: sqlite3.Connection) -> None:
        self._entered.set()
        assert self._opened.wait(10)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 10)

    def open(self) -> None:
        self._opened.set()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process can grow beyond this size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_the_file_is_durable_and_nobody_elses(database: Database, tmp_path: Path) -> None:
    def pragmas(connection: sqlite3.Connection) -> list[object]:
        return [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert await database.read(pragmas) == ["wal", 2, 1]
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_what_waits_is_written_in_one_commit(database: Database) -> None:
    def commits(connection: sqlite3.Connection) -> int:
        # Changes with every commit of another connection.
        version: int = connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    gate = Gate()
    first = database.write(gate)
    await gate.entered()
    before = await database.read(commits)
    waiting = [database.write(add, f"{n}") for n in range(50)]
    gate.open()
    await first
    assert await asyncio.gather(*waiting) == list(range(1, 51))
    assert await database.read(commits) - before <= 2


async def test_what_fails_undoes_itself_alone(database: Database) -> None:
    gate = Gate()
    first = database.write(gate)
    await gate.entered()
    waiting = [
        database.write(add, "a"),
        database.write(add_then_fail, "b"),
        database.write(add, "a"),
        database.write(add, "c"),
        database.write_many(add_many, "dd"),
        database.write_many(add_many, "e"),
        database.write_many(add_many, "ff"),
    ]
    gate.open()
    await first
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [
        int,
        ZeroDivisionError,
        sqlite3.IntegrityError,
        int,
        int,
        KeyError,
        int,
    ]
    assert await database.read(names) == ["a", "c", "dd", "ff"]


async def test_a_caller_that_was_cancelled_does_not_disturb_the_others(
    database: Database,
) -> None:
    gate = Gate()
    first = database.write(gate)
    await gate.entered()
    cancelled, other = database.write(add, "a"), database.write(add, "b")
    cancelled.cancel()
    gate.open()
    await first
    assert await other == 2


async def test_a_full_disk_is_unavailable_to_all_and_the_database_goes_on_afterwards(
    database: Database, tmp_path: Path
) -> None:
    await database.write(add, "before")
    gate = Gate()
    first = database.write(gate)
    await gate.entered()
    waiting = [database.write(add, f"{n} " + "x" * 9_000) for n in range(20)]
    with full_disk((tmp_path / f"{FILE_NAME}-wal").stat().st_size + 4_096):
        gate.open()
        await first
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ServiceUnavailable}
    assert await database.write(add, "after") == 2
    assert await database.read(names) == ["before", "after"]


async def test_a_commit_that_is_refused_fails_every_caller_and_the_next_one_works(
    database: Database,
) -> None:
    def orphan(connection: sqlite3.Connection) -> None:
        # Found at the commit alone.
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute("INSERT INTO deletion_steps VALUES ('no such deletion', 'step')")

    gate = Gate()
    first = database.write(gate)
    await gate.entered()
    waiting = [database.write(add, "a"), database.write(orphan), database.write(add, "b")]
    gate.open()
    await asyncio.gather(first, return_exceptions=True)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ServiceUnavailable}
    assert await database.write(add, "c") == 1


async def test_a_database_that_another_process_keeps_to_itself_is_unavailable(
    database: Database, tmp_path: Path
) -> None:
    def impatient(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA busy_timeout = 1")

    await database.write(impatient)
    other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServiceUnavailable):
        await database.write(add, "a")
    assert await database.read(names) == []
    other.execute("COMMIT")
    other.close()
    assert await database.write(add, "a") == 1


async def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises(ServiceUnavailable):
        await database.read(add, "a")
    assert await database.read(names) == []


async def test_reading_does_not_wait_for_writing(database: Database) -> None:
    gate = Gate()
    first = database.write(gate)
    await gate.entered()
    assert await database.read(names) == []
    gate.open()
    await first


async def test_closing_does_what_is_queued_and_refuses_the_rest(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / FILE_NAME)
    await database.write(_make_table)
    waiting = [database.write(add, f"{n}") for n in range(9)]
    await database.close()
    assert await asyncio.gather(*waiting) == list(range(1, 10))
    with pytest.raises(ServiceUnavailable):
        await database.write(add, "late")
    await database.close()


async def test_closing_leaves_everything_in_the_file_itself(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    for _ in range(100):  # two connections that closed at once left the log about once in thirty
        database = await Database.open(file)
        await database.close()
        assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"something else " * 100)
    with pytest.raises(ServiceUnavailable):
        await Database.open(tmp_path / FILE_NAME)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        await Database.open(tmp_path / "file" / FILE_NAME)


async def test_a_note_about_a_hold_that_ends_in_the_same_commit_is_left_out(
    database: Database,
) -> None:
    ledger = SqliteLedger(database, free_messages=3)
    await ledger.open_hold(hold_request("turn", 9, free=True))
    gate = Gate()
    first = database.write(gate)
    await gate.entered()
    calls = asyncio.gather(
        ledger.note_progress("turn", Progress("gen")),
        ledger.settle("turn", MicroEuro(0), usage()),
        ledger.note_progress("nobody's", Progress("gen")),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    gate.open()
    await first
    noted, settled, other = await calls
    assert (noted, settled.is_new, other) == (None, True, None)


async def test_an_entry_can_be_neither_changed_nor_removed(database: Database) -> None:
    ledger = SqliteLedger(database, free_messages=3)
    await ledger.grant(ADA, MicroEuro(10), "a present")

    def run(connection: sqlite3.Connection, statement: str) -> None:
        connection.execute(statement)

    for statement in (
        "UPDATE ledger_entries SET available_change = 11",
        "DELETE FROM ledger_entries",
        "INSERT OR REPLACE INTO ledger_entries SELECT * FROM ledger_entries",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            await database.write(run, statement)
    assert (await ledger.purse(ADA)).available == 10
    assert await ledger.verify() == []


async def test_an_entry_without_a_purse_is_refused(database: Database) -> None:
    def enter(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO ledger_entries (user_id, kind, reference, available_change, created_at)"
            " VALUES (?, 'grant', 'grant:x', 5, 0)",
            (BOB.bytes,),
        )

    with pytest.raises(sqlite3.IntegrityError, match="without a purse"):
        await database.write(enter)


async def test_a_locked_file_is_waited_for_twice_however_many_holds_end_at_once(
    tmp_path: Path,
) -> None:
    def end(_: sqlite3.Connection, holds: Sequence[str]) -> list[str | Exception]:
        return list(holds)

    def note(_: sqlite3.Connection, __: str) -> None: ...

    loop = asyncio.get_running_loop()
    batch = [
        work
        for hold in "abcdef"
        for work in (
            _Work(end, (hold,), loop.create_future(), is_one_of_many=True, ends=hold),
            _Work(note, (hold,), loop.create_future(), notes=hold),
        )
    ]
    tried: list[str] = []
    with (
        closing(sqlite3.connect(tmp_path / "a", isolation_level=None)) as another,
        closing(sqlite3.connect(tmp_path / "a", isolation_level=None, timeout=0)) as ours,
    ):
        another.execute("BEGIN IMMEDIATE")
        ours.set_trace_callback(tried.append)
        _write_all(ours, batch)
    assert {type(work.error) for work in batch} == {ServiceUnavailable}
    # Each attempt would wait for seconds, and everybody else behind it.
    assert tried.count("BEGIN IMMEDIATE") == 2
