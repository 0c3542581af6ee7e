"""`chuk migrate`, `chuk ledger` and `chuk grant`, as somebody at a terminal sees them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from chuk.adapters.sqlite.database import FILE_NAME
from chuk.adapters.sqlite.schema import migrations
from chuk.cli import main
from chuk.credits.ledger import Basis
from tests.contracts.stores import hold_request as request_for
from tests.contracts.stores import sqlite_books, usage
from tests.fakes.supabase_postgres import empty_project

USER = UUID("aaaaaaaa-0000-4000-8000-000000000001")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without any settings; the data folder of this process is in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_DB_URL", "CHUK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHUK_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


async def run(*arguments: str) -> int:
    """Run a command, which has an event loop of its own."""
    return await asyncio.to_thread(main, arguments)


def query(folder: Path, text: str) -> None:
    """Change the file past the server."""
    with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as connection:
        connection.execute(text)


def test_migrate_names_each_file_it_applied_and_then_has_nothing_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["migrate"]) == 0
    names = [name for _, name, _ in migrations()]
    assert capsys.readouterr().out.splitlines() == [f"{name}: applied" for name in names]
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out.startswith("nothing to apply")


@pytest.mark.parametrize("command", [["migrate"], ["ledger", "verify"]])
def test_a_database_of_a_newer_version_is_told_in_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main(["migrate"]) == 0
    query(folder, "INSERT INTO schema_migrations VALUES (99, '0099_later', 0)")
    capsys.readouterr()
    assert main(command) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("chuk: the database is of version 99") and len(err.splitlines()) == 1


def test_migrate_says_what_is_missing_for_a_project(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://project.example")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "service-role-key")
    assert main(["migrate"]) == 1
    err = capsys.readouterr().err
    assert "SUPABASE_DB_URL" in err and "config/migrations/postgres" in err


async def test_migrate_brings_an_empty_project_to_the_newest_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = await empty_project()
    monkeypatch.setenv("SUPABASE_URL", "https://project.example")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "service-role-key")
    monkeypatch.setenv("SUPABASE_DB_URL", database.owner_url)
    assert await run("migrate") == 0
    assert "0001_tables: applied" in capsys.readouterr().out
    assert await run("migrate") == 0
    assert capsys.readouterr().out.startswith("nothing to apply")
    await database.drop()


async def test_grant_gives_credits_once_for_each_reference(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("grant", str(USER), "2.50", "--reference", "a bad day") == 0
    assert capsys.readouterr().out == (
        "support:a bad day: granted 2.500000 EUR, 2.500000 EUR available now\n"
    )
    assert await run("grant", str(USER), "2.50", "--reference", "a bad day") == 1
    assert "granted before" in capsys.readouterr().err
    assert await run("grant", str(USER), "1") == 0
    assert await run("grant", str(USER), "1") == 0
    async with sqlite_books(folder) as books:
        assert (await books.ledger.purse(USER)).available == 4_500_000


@pytest.mark.parametrize("amount", ["0", "-1", "1e9", "NaN", "Infinity", "much"])
def test_grant_refuses_what_is_no_sensible_amount(
    amount: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["grant", str(USER), "--", amount])
    assert caught.value.code == 2
    assert "AMOUNT" in capsys.readouterr().err


async def test_ledger_verify_fails_with_a_line_for_each_difference(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("grant", str(USER), "1") == 0
    capsys.readouterr()
    assert await run("ledger", "verify") == 0
    assert "agrees with the entries" in capsys.readouterr().out
    query(folder, "UPDATE purses SET available = available + 5, held = 3")
    assert await run("ledger", "verify") == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{USER} available: recorded 1000005, by the entries 1000000",
        f"{USER} held: recorded 3, by the entries 0",
    ]


async def test_ledger_verify_runs_beside_a_server(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with sqlite_books(folder) as books:
        await books.ledger.open_hold(request_for("turn", 9, user=USER, free=True))
        assert await run("ledger", "verify") == 0
        await books.ledger.settle("turn", (await books.ledger.purse(USER)).available, usage())


async def test_ledger_unknown_lists_what_nobody_knows_the_cost_of(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with sqlite_books(folder) as books:
        await books.ledger.open_hold(request_for("turn-1", 9, user=USER, free=True))
        await books.ledger.release("turn-1", usage(basis=Basis.UNKNOWN))
    assert await run("ledger", "unknown") == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == (
        "2026-01-15T10:30:00Z turn-1 qwen/qwen3-32b groq gen-1 "
        "held 0.000000 EUR, charged 0.000000 EUR"
    )
    assert last == "1 with an unknown cost"
    assert str(USER) not in first
