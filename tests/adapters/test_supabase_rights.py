"""Who may read and do what in a Supabase project, asked over its own API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aiohttp
import psycopg
import pytest

from chuk.credits.money import MicroEuro
from tests.adapters.supabase_work import ADA, BOB, NOW, books_of, hold_request, usage
from tests.fakes.supabase_project import FakeSupabaseProject

MONEY = ("user_billing", "usage_logs")


class Caller:
    """Somebody who talks to the project's API by hand."""

    def __init__(
        self, project: FakeSupabaseProject, session: aiohttp.ClientSession, token: str
    ) -> None:
        self._url = f"{project.url}/rest/v1/"
        self._session = session
        self._headers = {"apikey": project.anon_key, "Authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        async with self._session.request(
            method, self._url + path, json=body, headers=self._headers
        ) as answer:
            return answer.status, await answer.json() if await answer.read() else None

    async def rows(self, table: str) -> Any:
        """All rows that this caller sees."""
        status, rows = await self.ask("GET", table)
        assert status == 200, rows
        return rows


@pytest.fixture
async def project() -> AsyncIterator[FakeSupabaseProject]:
    async with FakeSupabaseProject() as fake:
        await fake.add_user(ADA)
        await fake.add_user(BOB, "bob@example.org")
        books = books_of(fake)
        for user in (ADA, BOB):
            await books.ledger.grant(user, MicroEuro(16_000_000), f"invoice of {user}", NOW)
            await books.ledger.open_hold(hold_request(f"turn of {user}", 500_000, user=user))
            await books.ledger.settle(f"turn of {user}", MicroEuro(1842), usage())
            await books.ledger.open_hold(hold_request(f"another of {user}", 1_000_000, user=user))
        await books.close()
        yield fake


@pytest.fixture
def ada(project: FakeSupabaseProject, session: aiohttp.ClientSession) -> Caller:
    return Caller(project, session, project.user_token(ADA))


@pytest.fixture
def nobody(project: FakeSupabaseProject, session: aiohttp.ClientSession) -> Caller:
    return Caller(project, session, project.anon_key)


@pytest.fixture
def server(project: FakeSupabaseProject, session: aiohttp.ClientSession) -> Caller:
    return Caller(project, session, project.service_role_key)


async def test_the_app_reads_its_own_purse_in_euros(ada: Caller) -> None:
    (purse,) = await ada.rows("user_billing")
    assert purse["user_id"] == str(ADA)
    assert purse["total_credits_allocated"] == 16.0
    assert purse["credits_last_renewed_period"] == "2026-01-15T10:30:00+00:00"
    assert (purse["free_messages_total"], purse["free_messages_used"]) == (3, 0)


async def test_the_app_reads_its_own_usage_in_euros(ada: Caller) -> None:
    (row,) = await ada.rows("usage_logs")
    wanted = {
        "user_id": str(ADA),
        "model_id": "qwen/qwen3-32b",
        "provider_slug": "groq",
        "prompt_tokens": 45,
        "completion_tokens": 128,
        "total_tokens": 173,
        "total_cost_usd": 0.00042,
        "credits_deducted_eur": 0.001842,
        "created_at": "2026-01-15T10:30:00+00:00",
    }
    assert row | wanted == row


async def test_asking_for_somebody_elses_rows_finds_none(ada: Caller) -> None:
    for table in MONEY:
        assert await ada.ask("GET", f"{table}?user_id=eq.{BOB}") == (200, [])


async def test_without_signing_in_nothing_is_readable(nobody: Caller) -> None:
    for table in (*MONEY, "profiles"):
        status, error = await nobody.ask("GET", table)
        assert (status, error["code"]) == (401, "42501")


async def test_the_service_role_reads_everybodys_rows(server: Caller) -> None:
    assert len(await server.rows("user_billing")) == 2


@pytest.mark.parametrize("table", MONEY)
@pytest.mark.parametrize("who", ["ada", "nobody", "server"])
async def test_nobody_writes_money_but_through_a_function(
    project: FakeSupabaseProject, session: aiohttp.ClientSession, table: str, who: str
) -> None:
    tokens = {"ada": project.user_token(ADA), "nobody": project.anon_key}
    caller = Caller(project, session, tokens.get(who, project.service_role_key))
    everything = f"select to_jsonb(t) from public.{table} t order by user_id"
    before = await project.database.run(everything.encode())
    answers = [
        await caller.ask("PATCH", f"{table}?user_id=eq.{ADA}", {"user_id": str(BOB)}),
        await caller.ask("DELETE", f"{table}?user_id=eq.{ADA}"),
        await caller.ask("POST", table, {"user_id": "cccccccc-0000-4000-8000-000000000003"}),
    ]
    assert {error["code"] for _, error in answers} == {"42501"}
    assert await project.database.run(everything.encode()) == before


async def test_only_the_service_role_may_call_a_function_of_the_server(
    project: FakeSupabaseProject,
) -> None:
    callable_by = await project.database.run(
        "select r.role, count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " cross join unnest(array['anon', 'authenticated', 'service_role']) as r (role)"
        " where n.nspname = 'public' and p.proname like 'chuk%%'"
        " and has_function_privilege(r.role, p.oid, 'execute') group by 1"
    )
    total = await project.database.run("select count(*) from pg_proc where proname like 'chuk%%'")
    assert callable_by == [("service_role", total[0][0])]


async def test_every_function_that_acts_for_its_owner_names_no_schema_of_its_caller(
    project: FakeSupabaseProject,
) -> None:
    assert (
        await project.database.run(
            "select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
            " where n.nspname in ('public', 'chuk')"
            " and coalesce(not 'search_path=\"\"' = any (p.proconfig), true)"
        )
        == []
    )


async def test_a_user_who_calls_a_function_of_the_server_is_refused(ada: Caller) -> None:
    gift = {"p_user_id": str(ADA), "p_amount": 10**9, "p_reference": "gift", "p_period": None}
    parameters = {**gift, "p_now": NOW.isoformat(), "p_free_messages": 3}
    status, error = await ada.ask("POST", "rpc/chuk_grant", parameters)
    assert (status, error["code"]) == (403, "42501")


async def test_what_is_left_is_told_to_its_own_user_net_of_holds(ada: Caller) -> None:
    answer = await ada.ask("POST", "rpc/get_credits_remaining", {"p_user_id": str(ADA)})
    assert answer == (200, 16.0 - 0.001842 - 1.0)


async def test_what_is_left_is_told_to_nobody_else(ada: Caller, nobody: Caller) -> None:
    for caller, status in ((ada, 403), (nobody, 401)):
        told, error = await caller.ask("POST", "rpc/get_credits_remaining", {"p_user_id": str(BOB)})
        assert (told, error["code"]) == (status, "42501")


async def test_what_is_left_is_told_to_the_server_for_anybody(server: Caller) -> None:
    asked = {"p_user_id": str(BOB)}
    assert (await server.ask("POST", "rpc/get_credits_remaining", asked))[0] == 200
    stranger = {"p_user_id": "cccccccc-0000-4000-8000-000000000003"}
    assert await server.ask("POST", "rpc/get_credits_remaining", stranger) == (200, 0.0)


async def test_a_person_keeps_their_own_profile_and_no_other(ada: Caller) -> None:
    assert (await ada.ask("POST", "profiles", {"id": str(ADA), "display_name": "A"}))[0] == 201
    assert (await ada.ask("PATCH", f"profiles?id=eq.{ADA}", {"display_name": "B"}))[0] == 204
    assert [row["display_name"] for row in await ada.rows("profiles")] == ["B"]
    status, error = await ada.ask("POST", "profiles", {"id": str(BOB), "display_name": "C"})
    assert (status, error["code"]) == (403, "42501")


async def test_every_table_has_row_level_security(project: FakeSupabaseProject) -> None:
    assert (
        await project.database.run(
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname in ('public', 'chuk') and c.relkind = 'r' and not c.relrowsecurity"
        )
        == []
    )


async def test_the_servers_own_tables_are_out_of_everybodys_reach(
    project: FakeSupabaseProject,
) -> None:
    assert (
        await project.database.run(
            "select r.role from unnest(array['anon', 'authenticated', 'service_role']) as r (role)"
            " where has_schema_privilege(r.role, 'chuk', 'usage')"
        )
        == []
    )


async def test_the_app_hears_of_its_purse_and_of_nothing_else(
    project: FakeSupabaseProject,
) -> None:
    assert await project.database.run(
        "select schemaname, tablename from pg_publication_tables"
        " where pubname = 'supabase_realtime'"
    ) == [("public", "user_billing")]


async def test_a_person_has_one_folder_in_each_private_bucket(
    project: FakeSupabaseProject,
) -> None:
    buckets = await project.database.run("select id, public from storage.buckets order by id")
    assert buckets == [("images", False), ("project-files", False)]
    for bucket in ("images", "project-files"):
        await project.storage.put(bucket, f"{ADA}/mine.png", f"{BOB}/a/theirs.png")
    async with project.rest.acting_as({"role": "authenticated", "sub": str(ADA)}) as connection:
        cursor = await connection.execute(
            "update storage.objects set owner_id = 'x' returning name"
        )
        assert {name for (name,) in await cursor.fetchall()} == {f"{ADA}/mine.png"}
        cursor = await connection.execute("delete from storage.objects returning name")
        assert {name for (name,) in await cursor.fetchall()} == {f"{ADA}/mine.png"}
    assert await project.storage.names("images") == [f"{BOB}/a/theirs.png"]


async def test_a_locked_account_adds_no_file_although_its_token_is_still_good(
    project: FakeSupabaseProject,
) -> None:
    async def add(user: UUID, name: str) -> None:
        claims = {"role": "authenticated", "sub": str(user)}
        async with project.rest.acting_as(claims) as connection:
            await connection.execute(
                "insert into storage.objects (bucket_id, name) values ('images', %s)",
                (f"{user}/{name}",),
            )

    async def rename(user: UUID) -> int:
        claims = {"role": "authenticated", "sub": str(user)}
        async with project.rest.acting_as(claims) as connection:
            cursor = await connection.execute(
                "update storage.objects set bucket_id = 'project-files'"
            )
            return cursor.rowcount

    books = books_of(project)
    await add(ADA, "1.png")
    deletion = await books.deletions.begin(ADA)
    assert deletion is not None
    for is_finished in (False, True):
        if is_finished:
            await books.deletions.finish(deletion.id)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await add(ADA, "2.png")
        # Nor does one escape from the listing of what is to be removed.
        assert await rename(ADA) == 0
    await add(BOB, "1.png")
    assert await rename(BOB) == 1
    assert await project.storage.names("images") == [f"{ADA}/1.png"]
    await books.close()


async def test_whether_an_account_is_open_is_told_to_itself_alone(
    ada: Caller, nobody: Caller
) -> None:
    assert await ada.ask("POST", "rpc/account_is_open", {}) == (200, True)
    status, error = await nobody.ask("POST", "rpc/account_is_open", {})
    assert (status, error["code"]) == (401, "42501")
