"""`chuk backup` and `chuk restore`: nothing is lost, nothing is taken on trust."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chuk.accounts.issuer import installation_secret
from chuk.adapters.sqlite.database import FILE_NAME
from chuk.cli import main
from chuk.credits.money import MicroEuro
from chuk.scratch import own_folder
from tests.crash.books import ledger_of

USER = UUID("aaaaaaaa-0000-4000-8000-000000000001")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data folder of an installation with five euros in its books."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUPABASE_SERVICE_ROLE_KEY", raising=False)
    folder = tmp_path / "data"
    monkeypatch.setenv("CHUK_DATA_DIR", str(folder))
    give(folder, 5_000_000)
    installation_secret(folder / "secrets", "issuer.key")
    yield folder
    # Whatever came of it.
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".backup-")]


def give(folder: Path, amount: int) -> None:
    """Give the user so many micro-euros more."""

    async def grant() -> None:
        async with ledger_of(folder) as ledger:
            assert await ledger.grant(USER, MicroEuro(amount), f"test:{uuid4()}")

    asyncio.run(grant())


def available(folder: Path) -> int:
    """The user's credits in micro-euros, by books that agree with their entries."""

    async def look() -> int:
        async with ledger_of(folder) as ledger:
            assert await ledger.verify() == []
            return (await ledger.purse(USER)).available

    return asyncio.run(look())


def members(file: Path) -> dict[str, bytes]:
    """What is in a backup."""
    with tarfile.open(file) as archive:
        found = {each.name: archive.extractfile(each) for each in archive}
        return {name: source.read() for name, source in found.items() if source is not None}


def packed(file: Path, contents: dict[str, bytes]) -> None:
    """Write a backup with these members."""
    with tarfile.open(file, "w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_a_restored_backup_is_the_installation_of_then(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = (data / "secrets" / "issuer.key").read_bytes()
    file = tmp_path / "first.backup"
    assert main(["backup", str(file)]) == 0
    assert "the ledger agrees" in capsys.readouterr().out
    give(data, 1_000_000)
    (data / "secrets" / "issuer.key").write_bytes(b"another one, of 32 bytes or so ...")
    assert main(["restore", str(file)]) == 0
    assert available(data) == 5_000_000
    assert (data / "secrets" / "issuer.key").read_bytes() == secret
    assert main(["ledger", "verify"]) == 0
    with closing(sqlite3.connect(data / FILE_NAME)) as connection:
        assert connection.execute("SELECT count(*) FROM ledger_entries").fetchone() == (1,)


def test_a_backup_is_for_its_owner_alone_and_so_is_what_is_restored(
    tmp_path: Path, data: Path
) -> None:
    file = tmp_path / "first.backup"
    assert main(["backup", str(file)]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert main(["restore", str(file)]) == 0
    for path in (data / FILE_NAME, data / "secrets" / "issuer.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "secrets").stat().st_mode) == 0o700


def test_what_was_there_is_kept_aside(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "first.backup"
    assert main(["backup", str(file)]) == 0
    give(data, 2_000_000)
    assert main(["restore", str(file)]) == 0
    (aside,) = data.glob("before-restore-*")
    assert (available(data), available(aside)) == (5_000_000, 7_000_000)
    assert (aside / "secrets" / "issuer.key").is_file()


def test_it_is_restored_to_an_empty_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "first.backup"
    assert main(["backup", str(file)]) == 0
    monkeypatch.setenv("CHUK_DATA_DIR", str(tmp_path / "other" / "machine"))
    assert main(["restore", str(file)]) == 0
    assert available(tmp_path / "other" / "machine") == 5_000_000


def test_nothing_is_restored_under_a_server(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "first.backup"
    assert main(["backup", str(file)]) == 0
    give(data, 2_000_000)
    with own_folder(data):
        assert main(["restore", str(file)]) == 1
    assert "a server runs" in capsys.readouterr().err
    assert available(data) == 7_000_000
    assert list(data.glob("before-restore-*")) == []


def test_an_earlier_backup_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "first.backup"
    file.write_bytes(b"an earlier one")
    assert main(["backup", str(file)]) == 1
    assert file.read_bytes() == b"an earlier one"


def test_books_that_do_not_agree_with_their_entries_are_no_backup(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(data / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("UPDATE purses SET available = available + 1")
    assert main(["backup", str(tmp_path / "first.backup")]) == 1
    assert "does not agree" in capsys.readouterr().err
    assert not (tmp_path / "first.backup").exists()


def test_damaged_books_are_no_backup(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    books = bytearray((data / FILE_NAME).read_bytes())
    books[8192:] = b"\xa5" * (len(books) - 8192)
    (data / FILE_NAME).write_bytes(books)
    assert main(["backup", str(tmp_path / "first.backup")]) == 1
    assert "cannot be copied" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage", ["cut off", "no archive", "changed", "left out", "a name outside", "no books"]
)
def test_what_is_not_a_whole_backup_changes_nothing(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    file = tmp_path / "first.backup"
    assert main(["backup", str(file)]) == 0
    contents = members(file)
    listed = json.loads(contents["contents.json"])
    match damage:
        case "cut off":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        case "no archive":
            file.write_bytes(b"nothing of ours")
        case "changed":
            packed(file, {**contents, FILE_NAME: contents[FILE_NAME] + b"x"})
        case "left out":
            packed(file, {name: each for name, each in contents.items() if name != FILE_NAME})
        case "a name outside":
            listed["sha256"]["secrets/../../outside"] = "0"
            changed = json.dumps(listed).encode()
            packed(file, {**contents, "contents.json": changed, "secrets/../../outside": b"x"})
        case "no books":
            del listed["sha256"][FILE_NAME]
            packed(file, {**contents, "contents.json": json.dumps(listed).encode()})
    assert main(["restore", str(file)]) == 1
    assert str(file) in capsys.readouterr().err
    assert available(data) == 5_000_000
    assert list(data.glob("before-restore-*")) == []
    assert not (tmp_path / "outside").exists()


def test_where_supabase_keeps_the_books_they_are_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://project.example")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "its key")
    assert main(["backup", str(tmp_path / "first.backup")]) == 1
    assert "Supabase" in capsys.readouterr().err
