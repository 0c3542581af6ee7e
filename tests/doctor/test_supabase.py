"""A project's keys for tokens, and the state of its database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import LiteralString

import pytest

from chuk.doctor import supabase
from chuk.doctor.findings import Finding
from tests.doctor.conftest import Examine, says, verdicts
from tests.fakes.supabase_auth import SECRET
from tests.fakes.supabase_postgres import empty_project
from tests.fakes.supabase_project import FakeSupabaseProject


@pytest.fixture
async def project() -> AsyncIterator[FakeSupabaseProject]:
    """A project with all migrations and one signing key."""
    async with FakeSupabaseProject() as running:
        running.add_key("k")
        yield running


async def found(examine: Examine, project: FakeSupabaseProject, **environ: str) -> list[Finding]:
    """What is found in that project, by its service role unless another key is named."""
    own = {"SUPABASE_URL": project.url, "SUPABASE_SERVICE_ROLE_KEY": project.service_role_key}
    async with examine(**{**own, **environ}) as examined:
        return await supabase.look(examined)


async def test_without_a_project_there_is_nothing_to_look_at(examine: Examine) -> None:
    async with examine() as examined:
        assert verdicts(await supabase.look(examined)) == ["ok"]


async def test_a_migrated_project_is_well(examine: Examine, project: FakeSupabaseProject) -> None:
    findings = await found(examine, project)
    assert verdicts(findings) == ["ok", "ok"]
    assert "ES256" in findings[0].says


async def test_one_that_only_signs_people_in_is_well(
    examine: Examine, project: FakeSupabaseProject
) -> None:
    findings = await found(examine, project, SUPABASE_SERVICE_ROLE_KEY="")
    assert verdicts(findings) == ["ok", "ok"]
    assert "/rest/v1/rpc/chuk_condition" not in project.calls


@pytest.mark.parametrize(
    ("change", "verdict", "word"),
    [
        ("alter table public.usage_logs disable row level security", "fail", "public.usage_logs"),
        ("alter table chuk.holds disable row level security", "fail", "chuk.holds"),
        ("create table chuk.forgotten (id int)", "fail", "chuk.forgotten"),
        (
            "alter publication supabase_realtime drop table public.user_billing",
            "warn",
            "supabase_realtime",
        ),
        ("update storage.buckets set public = true where id = 'images'", "fail", "images"),
        (
            "delete from chuk.schema_migrations where name = '0007_api_keys'",
            "fail",
            "0007_api_keys",
        ),
        ("drop function public.chuk_condition()", "fail", "not migrated"),
    ],
)
async def test_each_thing_that_was_changed_is_told(
    examine: Examine,
    project: FakeSupabaseProject,
    change: LiteralString,
    verdict: str,
    word: str,
) -> None:
    await project.database.run(change)
    findings = await found(examine, project)
    assert verdicts(findings) == ["ok", verdict]
    assert word in findings[1].says


async def test_an_empty_project_is_not_migrated(examine: Examine) -> None:
    database = await empty_project()
    try:
        async with FakeSupabaseProject(database) as project:
            project.add_key("k")
            assert "not migrated" in says(await found(examine, project), "fail")
    finally:
        await database.drop()


@pytest.mark.parametrize("key", ["anon-key-of-a-fake-project", "a-key-that-nobody-knows"])
async def test_a_key_of_somebody_else_is_a_failure(
    examine: Examine, project: FakeSupabaseProject, key: str
) -> None:
    findings = await found(examine, project, SUPABASE_SERVICE_ROLE_KEY=key)
    assert verdicts(findings) == ["ok", "fail"]
    assert key not in str(findings)


@pytest.mark.parametrize("fault", ["down", "error", "nonsense", "empty"])
async def test_a_database_that_does_not_answer_is_a_failure(
    examine: Examine, project: FakeSupabaseProject, fault: str
) -> None:
    project.fail(fault, "/rest/v1/rpc/")  # type: ignore[arg-type]
    assert verdicts(await found(examine, project)) == ["ok", "fail"]


async def test_keys_that_cannot_be_had_are_a_failure(
    examine: Examine, project: FakeSupabaseProject
) -> None:
    project.status = 500
    assert "cannot be had" in says(await found(examine, project), "fail")
    project.status, project.body = 200, b"<html>"
    assert "no key set" in says(await found(examine, project), "fail")


async def test_no_key_at_all_is_a_failure_unless_there_is_a_secret(
    examine: Examine, project: FakeSupabaseProject
) -> None:
    project.published.clear()
    assert "no token is accepted" in says(await found(examine, project), "fail")
    findings = await found(examine, project, SUPABASE_JWT_SECRET=SECRET)
    assert "legacy" in says(findings, "warn")
    assert SECRET not in str(findings)
