"""The SQL files that make a Supabase project's database ours.

Each file is one transaction, writes its own name into `chuk.schema_migrations`, and may be run
again: pasted into the SQL editor or applied here comes to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg

from chuk.errors import ServiceUnavailable

PASTED_FROM = "config/migrations/postgres"
"""Where an operator finds the files in the repository."""

# Any number, the same everywhere: two migrations at once come one after the other.
_LOCK = 4_810_251


def migration_files() -> Sequence[Traversable]:
    """All of them, in the order in which they must run."""
    folder = files("chuk.adapters.supabase.schema")
    scripts = (entry for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return sorted(scripts, key=lambda script: script.name)


async def apply(database_url: str) -> list[str]:
    """Apply what is missing, in order; returns the names of what was applied.

    Raises:
        ServiceUnavailable: the database cannot be reached, or refused a file. What was applied
            before stays.
    """
    try:
        async with await psycopg.AsyncConnection.connect(
            database_url, autocommit=True, connect_timeout=10
        ) as connection:
            await connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
            known = await _applied(connection)
            scripts = {file.name.removesuffix(".sql"): file for file in migration_files()}
            missing = [name for name in scripts if name not in known]
            for name in missing:
                async with connection.transaction():
                    await connection.execute(scripts[name].read_bytes())
            return missing
    except psycopg.Error as error:
        # Neither the address nor the server's own words: both may name hosts and passwords.
        raise ServiceUnavailable(
            f"The database cannot be migrated ({type(error).__name__} {error.sqlstate or ''})."
        ) from error


async def _applied(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> set[str]:
    cursor = await connection.execute("select to_regclass('chuk.schema_migrations')")
    row = await cursor.fetchone()
    if row is None or row[0] is None:
        return set()
    cursor = await connection.execute("select name from chuk.schema_migrations")
    return {str(name) for (name,) in await cursor.fetchall()}
