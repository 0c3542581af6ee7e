"""Backups of an installation that keeps its books itself: one file, complete and proven.

In it are the books, the claims of idempotency keys and the secrets that were made here; not what
can be fetched again, nor the pictures of the day. Whoever has the file can sign people in: it is
for its owner alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from chuk import __version__
from chuk.adapters.sqlite import database, idempotency
from chuk.adapters.sqlite.copying import UnsoundCopy, copy_database
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.clock import iso_z
from chuk.scratch import nobody_serves

_DATABASES = (database.FILE_NAME, idempotency.FILE_NAME)
_SECRETS = "secrets"
_CONTENTS = "contents.json"
_LARGEST_LIST = 1_000_000
# What SQLite keeps beside a file.
_SIDE_FILES = ("", "-wal", "-shm", "-journal")


class BackupFailed(Exception):
    """There is no backup, or it is not restored; nothing has changed. The message says why."""


def make_backup(data_dir: Path, file: Path, now: datetime) -> int:
    """Write a backup while servers run; it is there whole, or not at all. Returns its bytes.

    Raises:
        BackupFailed: there are no books here, they are damaged, or the ledger does not agree.
        SchemaError: the books are of a newer version than this code.
        ServiceUnavailable: SQLite cannot open the copy.
        OSError: a file cannot be read or written, or is there already.
    """
    if not (data_dir / database.FILE_NAME).is_file():
        raise BackupFailed(f"there are no books in {data_dir}")
    if file.exists():
        raise BackupFailed(f"{file} is there already")
    with _folder_in(file.absolute().parent) as scratch:
        copies = scratch / "copies"
        copies.mkdir()
        for name in _DATABASES:
            if (data_dir / name).is_file():
                _copied(data_dir / name, copies / name)
        if (data_dir / _SECRETS).is_dir():
            shutil.copytree(data_dir / _SECRETS, copies / _SECRETS)
        _prove(copies, scratch)
        packed = scratch / "packed"
        _pack(copies, packed, now)
        os.replace(packed, file)
        _reach_disk(file.absolute().parent)
    return file.stat().st_size


def restore_backup(data_dir: Path, file: Path, now: datetime) -> Path:
    """Put a backup in the place of what is there; returns the folder where that is kept.

    Raises:
        BackupFailed: a server runs on the folder, the file is not a whole backup, or its ledger
            does not agree.
        OSError: a file cannot be read or written.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with nobody_serves(data_dir) as is_free:
        if not is_free:
            raise BackupFailed(f"a server runs on {data_dir}: stop it first")
        with _folder_in(data_dir) as scratch:
            copies = scratch / "copies"
            _unpack(file, copies)
            _prove(copies, scratch)
            aside = data_dir / f"before-restore-{now:%Y%m%dT%H%M%S%f}"
            aside.mkdir(mode=0o700)
            for name in _kept_in(data_dir):
                os.replace(data_dir / name, aside / name)
            for path in copies.iterdir():
                os.replace(path, data_dir / path.name)
            _reach_disk(data_dir)
    return aside


@contextmanager
def _folder_in(place: Path) -> Iterator[Path]:
    """A folder for its owner alone, on the disk where the result will be; gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix=".backup-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copied(source: Path, target: Path) -> None:
    try:
        copy_database(source, target)
    except (UnsoundCopy, sqlite3.Error) as error:
        raise BackupFailed(f"{source} cannot be copied: {error}") from None


def _prove(copies: Path, scratch: Path) -> None:
    """Recompute the ledger, on a copy of the copy: opening it may bring it to a newer version."""
    books = scratch / "proven" / database.FILE_NAME
    books.parent.mkdir()
    # It looks for damage once more, which matters for what has come from elsewhere.
    _copied(copies / database.FILE_NAME, books)
    differences = asyncio.run(_differences(books))
    if differences:
        raise BackupFailed(
            f"the ledger does not agree with its entries in {differences} place(s): "
            "see chuk ledger verify"
        )


async def _differences(books: Path) -> int:
    opened = await database.Database.open(books)
    try:
        return len(await SqliteLedger(opened, free_messages=0).verify())
    finally:
        await opened.close()


def _pack(folder: Path, file: Path, now: datetime) -> None:
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    digests = {name: _digest(folder / name) for name in sorted(names)}
    contents = {"version": __version__, "made_at": iso_z(now), "sha256": digests}
    (folder / _CONTENTS).write_text(json.dumps(contents, indent=2))
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with open(descriptor, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w") as archive:
            for name in (_CONTENTS, *digests):
                archive.add(folder / name, arcname=name, filter=_nobodys)
        raw.flush()
        os.fsync(raw.fileno())


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _unpack(file: Path, folder: Path) -> None:
    """Write out what its list of contents names, and nothing else."""
    folder.mkdir(mode=0o700)
    try:
        with tarfile.open(file, "r:") as archive:
            wanted = _listed(archive)
            for name, digest in wanted.items():
                _extract(archive, name, folder / name)
                if _digest(folder / name) != digest:
                    raise BackupFailed(f"{file} is damaged: {name}")
    except (tarfile.TarError, KeyError, ValueError, TypeError, AttributeError):
        raise BackupFailed(f"{file} is not a whole backup") from None


def _listed(archive: tarfile.TarFile) -> dict[str, str]:
    source = archive.extractfile(_CONTENTS)
    if source is None:
        raise KeyError(_CONTENTS)
    wanted: dict[str, str] = json.loads(source.read(_LARGEST_LIST))["sha256"]
    if database.FILE_NAME not in wanted:
        raise KeyError(database.FILE_NAME)
    for name in wanted:
        if name not in _DATABASES and Path(name).parts[:-1] != (_SECRETS,):
            raise ValueError(name)
    return wanted


def _extract(archive: tarfile.TarFile, name: str, target: Path) -> None:
    source = archive.extractfile(name)
    if source is None or target.name == "..":
        raise KeyError(name)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with source, open(descriptor, "wb") as written:
        shutil.copyfileobj(source, written)
        written.flush()
        os.fsync(written.fileno())


def _kept_in(data_dir: Path) -> Sequence[str]:
    names = [name + side for name in _DATABASES for side in _SIDE_FILES]
    return [name for name in (*names, _SECRETS) if (data_dir / name).exists()]


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _reach_disk(folder: Path) -> None:
    """A rename is on disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
