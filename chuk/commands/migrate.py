"""`chuk migrate`: bring the database of the books to the newest version."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import uvloop

from chuk import logs
from chuk.adapters.sqlite.database import FILE_NAME, Database
from chuk.errors import ServiceUnavailable
from chuk.settings import Settings


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "migrate", help="bring the database of the books to the newest version"
    )
    command.set_defaults(command=_migrate)


def _migrate(_options: argparse.Namespace, settings: Settings) -> int:
    logs.configure(level="error", json=False)
    try:
        if settings.supabase.service_role_key:
            return _migrate_supabase(settings.supabase.database_url)
        applied = uvloop.run(_migrate_sqlite(settings))
    except ServiceUnavailable as error:
        print(f"chuk: {error.message}", file=sys.stderr)
        return 1
    _report(applied)
    return 0


async def _migrate_sqlite(settings: Settings) -> Sequence[str]:
    # Opening it is all it takes: the server does no more.
    database = await Database.open(settings.server.data_dir / FILE_NAME)
    await database.close()
    return database.applied


def _migrate_supabase(database_url: str) -> int:
    # Here, so that nobody without a project pays for loading psycopg.
    from chuk.adapters.supabase import migrations  # noqa: PLC0415

    if not database_url:
        print(
            "chuk: SUPABASE_DB_URL is not set: set it, or paste the files of "
            f"{migrations.PASTED_FROM} in their order into the project's SQL editor",
            file=sys.stderr,
        )
        return 1
    _report(uvloop.run(migrations.apply(database_url)))
    return 0


def _report(applied: Sequence[str]) -> None:
    for name in applied:
        print(f"{name}: applied")
    if not applied:
        print("nothing to apply: the database is of the newest version")
