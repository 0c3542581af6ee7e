"""What a deletion removes from a Supabase project: the person's files, and the sign-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from chuk.accounts.ports import DeletionStep
from chuk.adapters.supabase.books import SupabaseBooks
from chuk.errors import ServiceUnavailable
from tests.adapters.supabase_work import ADA, BOB, books_of
from tests.fakes.supabase_project import FakeSupabaseProject

BUCKETS = ("images", "project-files")


@pytest.fixture
async def project() -> AsyncIterator[FakeSupabaseProject]:
    async with FakeSupabaseProject() as fake:
        yield fake


@pytest.fixture
async def books(project: FakeSupabaseProject) -> AsyncIterator[SupabaseBooks]:
    opened = books_of(project)
    yield opened
    await opened.close()


@pytest.fixture
def files(books: SupabaseBooks) -> DeletionStep:
    return books.steps[0]


@pytest.fixture
def sign_in(books: SupabaseBooks) -> DeletionStep:
    return books.steps[1]


def test_the_sign_in_goes_last(books: SupabaseBooks) -> None:
    assert [step.name for step in books.steps] == ["files", "sign_in"]


async def test_both_folders_are_emptied_and_nobody_elses(
    project: FakeSupabaseProject, files: DeletionStep
) -> None:
    for bucket in BUCKETS:
        await project.storage.put(
            bucket, f"{ADA}/1.png", f"{ADA}/a/2.png", f"{ADA}/a/b/c/3 ä'%.png", f"{ADA}/b/4.png"
        )
        await project.storage.put(bucket, f"{BOB}/1.png", f"x{ADA}/1.png", f"{BOB}/{ADA}/1.png")
    await files.run(ADA)
    for bucket in BUCKETS:
        left = await project.storage.names(bucket)
        assert set(left) == {f"{BOB}/1.png", f"x{ADA}/1.png", f"{BOB}/{ADA}/1.png"}


async def test_a_folder_of_many_pages_is_emptied_in_batches(
    project: FakeSupabaseProject, files: DeletionStep
) -> None:
    await project.storage.put("images", *(f"{ADA}/{number:05}.png" for number in range(2_345)))
    await project.storage.put("images", *(f"{ADA}/a/{number}/1.png" for number in range(150)))
    await files.run(ADA)
    assert await project.storage.names("images") == []
    assert project.storage.removals == [1_000, 1_000, 495]


async def test_emptying_an_empty_folder_is_no_fault(
    project: FakeSupabaseProject, files: DeletionStep
) -> None:
    await files.run(ADA)
    await files.run(ADA)
    assert project.storage.removals == []


async def test_what_was_cut_goes_on_where_it_stopped(
    project: FakeSupabaseProject, files: DeletionStep
) -> None:
    await project.storage.put("images", *(f"{ADA}/{number}.png" for number in range(1_500)))
    await project.storage.put("project-files", f"{ADA}/plan.pdf")
    # The client itself repeats a DELETE once.
    project.fail("lost", "/storage/v1/object/images", times=2)
    with pytest.raises(ServiceUnavailable):
        await files.run(ADA)
    assert len(await project.storage.names("images")) == 500
    await files.run(ADA)
    assert await project.storage.names("images") == []
    assert await project.storage.names("project-files") == []


async def test_files_that_do_not_go_are_not_taken_for_gone(
    project: FakeSupabaseProject, files: DeletionStep
) -> None:
    await project.storage.put("images", f"{ADA}/1.png")
    await project.database.run(
        "create function public.keep() returns trigger language plpgsql"
        " as $$ begin return null; end $$;"
        "create trigger keep before delete on storage.objects"
        " for each row execute function public.keep()"
    )
    with pytest.raises(ServiceUnavailable):
        await files.run(ADA)


async def test_the_sign_in_is_deleted_with_what_hangs_on_it(
    project: FakeSupabaseProject, sign_in: DeletionStep
) -> None:
    await project.add_user(ADA)
    await project.add_user(BOB, "bob@example.org")
    await project.database.run("insert into public.profiles (id) values (%s)", ADA)
    await sign_in.run(ADA)
    assert await project.database.run("select id from auth.users") == [(BOB,)]
    assert await project.database.run("select 1 from public.profiles") == []


async def test_somebody_who_is_not_there_any_more_is_deleted(
    project: FakeSupabaseProject, sign_in: DeletionStep
) -> None:
    await project.add_user(ADA)
    # The client itself repeats a DELETE once.
    project.fail("lost", times=2)
    with pytest.raises(ServiceUnavailable):
        await sign_in.run(ADA)
    await sign_in.run(ADA)
    await sign_in.run(ADA)


async def test_an_answer_404_of_something_else_does_not_count_as_deleted(
    project: FakeSupabaseProject,
) -> None:
    await project.add_user(ADA)
    project.address += "/elsewhere"
    books = books_of(project)
    with pytest.raises(ServiceUnavailable):
        await books.steps[1].run(ADA)
    await books.close()
