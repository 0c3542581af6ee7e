"""The SQLite files: whole, private, and with short logs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chuk.adapters.sqlite.database import FILE_NAME, Database
from chuk.adapters.sqlite.inspection import Inspection, inspect
from chuk.doctor import sqlite
from tests.doctor.conftest import Examine, says, verdicts

_PLENTY = 10**12


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Path]:
    """The books of a server that runs."""
    path = tmp_path / "data" / FILE_NAME
    database = await Database.open(path)
    yield path
    await database.close()


async def test_no_file_is_there_yet(examine: Examine) -> None:
    async with examine() as examined:
        assert verdicts(await sqlite.look(examined)) == ["ok"]


async def test_a_whole_file_is_well_while_its_server_runs(examine: Examine, file: Path) -> None:
    before = file.stat().st_mtime_ns
    async with examine() as examined:
        findings = await sqlite.look(examined)
    assert verdicts(findings) == ["ok"]
    assert file.name in findings[0].says
    assert file.stat().st_mtime_ns == before


async def test_a_damaged_file_is_a_failure(examine: Examine, tmp_path: Path) -> None:
    path = tmp_path / "data" / FILE_NAME
    database = await Database.open(path)
    await database.close()
    pages = bytearray(path.read_bytes())
    pages[4096:] = b"\xff" * (len(pages) - 4096)
    path.write_bytes(pages)
    async with examine() as examined:
        assert "damaged" in says(await sqlite.look(examined), "fail")
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    async with examine() as examined:
        assert "damaged" in says(await sqlite.look(examined), "fail")


async def test_books_that_others_may_read_are_a_failure(examine: Examine, file: Path) -> None:
    file.chmod(0o644)
    async with examine() as examined:
        assert "others may read" in says(await sqlite.look(examined), "fail")


async def test_with_the_books_in_a_project_old_ones_are_let_be(
    examine: Examine, file: Path
) -> None:
    file.chmod(0o644)
    environ = {"SUPABASE_URL": "https://project.example", "SUPABASE_SERVICE_ROLE_KEY": "key"}
    async with examine(**environ) as examined:
        assert verdicts(await sqlite.look(examined)) == ["ok"]


def test_the_sizes_are_those_of_the_files(file: Path) -> None:
    found = inspect(file)
    assert found.trouble == ""
    assert found.size == file.stat().st_size
    assert found.log_size == file.with_name(f"{file.name}-wal").stat().st_size


@pytest.mark.parametrize(
    ("found", "free", "expected"),
    [
        (Inspection("", 10**6, 10**6), _PLENTY, ["ok"]),
        (Inspection("", 10**6, 200 * 2**20), _PLENTY, ["ok", "warn"]),
        (Inspection("", 10**9, 10**6), 10**8, ["ok", "warn"]),
        (Inspection("", 10**9, 200 * 2**20), 10**8, ["ok", "warn", "warn"]),
        (Inspection("SQLITE_CORRUPT", 10**9, 200 * 2**20), 10**8, ["fail"]),
    ],
)
def test_what_the_sizes_mean(found: Inspection, free: int, expected: list[str]) -> None:
    assert verdicts(sqlite.judge("chuk.sqlite3", found, free)) == expected
