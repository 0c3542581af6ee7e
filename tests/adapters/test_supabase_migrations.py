"""The schema of a Supabase project: from any version to the newest, as often as one likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from chuk.adapters.supabase.migrations import PASTED_FROM, apply, migration_files
from chuk.errors import ServiceUnavailable
from tests.adapters.supabase_work import ADA
from tests.fakes.supabase_postgres import TestDatabase, empty_project

NAMES = [file.name.removesuffix(".sql") for file in migration_files()]

_SHAPE = """
select 'column', table_schema, table_name, column_name, data_type, is_nullable, column_default
from information_schema.columns where table_schema in ('public', 'chuk')
union all select 'function', n.nspname, p.oid::regprocedure::text, md5(p.prosrc), p.proacl::text,
  p.prosecdef::text, p.proconfig::text
from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'chuk')
union all select 'policy', schemaname, tablename, policyname, roles::text, qual, with_check
from pg_policies
union all select 'table', n.nspname, c.relname, c.relrowsecurity::text, c.relacl::text, null, null
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'chuk') and c.relkind in ('r', 'i')
union all select 'published', pubname, schemaname, tablename, null, null, null
from pg_publication_tables
union all select 'bucket', id, name, public::text, null, null, null from storage.buckets
order by 1, 2, 3, 4
"""


@pytest.fixture
async def database() -> AsyncIterator[TestDatabase]:
    empty = await empty_project()
    yield empty
    await empty.drop()


async def paste(database: TestDatabase, name: str) -> None:
    """What an operator does with the SQL editor."""
    script = (Path(PASTED_FROM) / f"{name}.sql").read_bytes()
    async with await psycopg.AsyncConnection.connect(database.owner_url) as connection:
        await connection.execute(script)


async def test_an_empty_project_gets_every_file_once_and_in_order(database: TestDatabase) -> None:
    assert len(NAMES) > 1
    assert await apply(database.owner_url) == NAMES
    assert await apply(database.owner_url) == []


@pytest.mark.parametrize("version", range(1, len(NAMES) + 1))
async def test_from_every_earlier_version_the_newest_comes_out_the_same(
    database: TestDatabase, version: int
) -> None:
    for name in NAMES[:version]:
        await paste(database, name)
    assert await apply(database.owner_url) == NAMES[version:]
    shape = await database.run(_SHAPE)
    other = await empty_project()
    await apply(other.owner_url)
    assert shape == await other.run(_SHAPE)
    await other.drop()


async def test_pasting_every_file_again_changes_nothing_and_loses_nothing(
    database: TestDatabase,
) -> None:
    await apply(database.owner_url)
    await database.run("select public.chuk_grant(%s, 1000, 'a', null, now(), 3)", ADA)
    everything = "select to_jsonb(b), salt from public.user_billing b, chuk.deletion_salt"
    before, shape = await database.run(everything), await database.run(_SHAPE)
    for name in NAMES:
        await paste(database, name)
        await paste(database, name)
    assert await database.run(_SHAPE) == shape
    assert await database.run(everything) == before
    assert await database.run("select public.chuk_verify()") == [({"rows": []},)]


async def test_two_processes_that_migrate_at_once_apply_each_file_once(
    database: TestDatabase,
) -> None:
    applied = await asyncio.gather(apply(database.owner_url), apply(database.owner_url))
    assert sorted(applied, key=len) == [[], NAMES]


async def test_a_file_that_fails_leaves_nothing_half_done(database: TestDatabase) -> None:
    await database.run("drop publication supabase_realtime; drop schema storage cascade")
    with pytest.raises(ServiceUnavailable):
        await apply(database.owner_url)
    done = await database.run("select name from chuk.schema_migrations order by name")
    assert [name for (name,) in done] == NAMES[: NAMES.index("0006_storage")]


async def test_a_database_that_is_not_there_is_told_without_its_address() -> None:
    address = "postgresql://somebody:a-password@127.0.0.1:1/postgres"
    with pytest.raises(ServiceUnavailable) as told:
        await apply(address)
    assert "password" not in str(told.value) and "127.0.0.1" not in str(told.value)
