"""`chuk backup` and `chuk restore`: of an installation that keeps its books in SQLite."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from chuk import logs
from chuk.backups import BackupFailed, make_backup, restore_backup
from chuk.clock import utc_now
from chuk.errors import ServiceUnavailable
from chuk.settings import Settings


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the two commands."""
    command = commands.add_parser(
        "backup", help="copy the books and this installation's secrets into one file, and prove it"
    )
    command.add_argument("file", type=Path, metavar="FILE", help="a file that is not there yet")
    command.set_defaults(command=_backup)

    command = commands.add_parser(
        "restore", help="put a backup in the place of what is there, which is kept; no server runs"
    )
    command.add_argument("file", type=Path, metavar="FILE", help="what `chuk backup` has made")
    command.set_defaults(command=_restore)


def _backup(options: argparse.Namespace, settings: Settings) -> int:
    def work() -> None:
        size = make_backup(settings.server.data_dir, options.file, utc_now())
        print(f"{options.file}: {size} bytes, sound, and the ledger agrees with its entries")

    return _run(settings, work)


def _restore(options: argparse.Namespace, settings: Settings) -> int:
    def work() -> None:
        aside = restore_backup(settings.server.data_dir, options.file, utc_now())
        print(f"{options.file}: restored; what was there is in {aside}")
        print("Accounts that were erased since it was made are back: erase them again.")

    return _run(settings, work)


def _run(settings: Settings, work: Callable[[], None]) -> int:
    logs.configure(level="error", json=False)
    if settings.supabase.service_role_key:
        print("chuk: the books are in Supabase, whose backups are made there", file=sys.stderr)
        return 1
    try:
        work()
    except BackupFailed as error:
        print(f"chuk: {error}", file=sys.stderr)
        return 1
    except ServiceUnavailable as error:
        print(f"chuk: {error.message}", file=sys.stderr)
        return 1
    return 0
