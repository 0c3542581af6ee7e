"""A Supabase project that is down, slow, broken or talking nonsense: told as such, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from chuk.adapters.supabase import answers
from chuk.adapters.supabase.books import SupabaseBooks, open_supabase_books
from chuk.adapters.supabase.client import SupabaseProject
from chuk.billing.ports import InboxEvent, Subscription
from chuk.credits.ledger import Progress, Resolved, SpendingCap
from chuk.credits.money import MicroEuro
from chuk.errors import InternalError, ServiceUnavailable
from tests.adapters.supabase_work import ADA, NOW, books_of, hold_request, usage
from tests.fakes.supabase_postgres import empty_project
from tests.fakes.supabase_project import FakeSupabaseProject, Fault

LATER = NOW + timedelta(minutes=1)
ONE = MicroEuro(1)
SUBSCRIPTION = Subscription("sub_1", "cus_1", "active", NOW, LATER, False)
EVENT = InboxEvent("evt_1", "invoice.paid", "cus_1", "in_1", NOW)
ID = "11111111-0000-4000-8000-000000000001"

CALLS: dict[str, Callable[[SupabaseBooks], Awaitable[object]]] = {
    "open_hold": lambda b: b.ledger.open_hold(hold_request("turn", 1)),
    "note_progress": lambda b: b.ledger.note_progress("turn", Progress("gen-1")),
    "settle": lambda b: b.ledger.settle("turn", ONE, usage()),
    "release": lambda b: b.ledger.release("turn", usage()),
    "renew_leases": lambda b: b.ledger.renew_leases("me", LATER),
    "claim_orphans": lambda b: b.ledger.claim_orphans("me", NOW, LATER, 5),
    "defer": lambda b: b.ledger.defer("turn", LATER),
    "grant": lambda b: b.ledger.grant(ADA, ONE, "in_1", NOW),
    "take_back": lambda b: b.ledger.take_back(ADA, "in_1", ONE, "re_1"),
    "give_back": lambda b: b.ledger.give_back(ADA, "re_1"),
    "lapse": lambda b: b.ledger.lapse(ADA, "ended"),
    "purse": lambda b: b.ledger.purse(ADA),
    "spending_cap": lambda b: b.ledger.spending_cap(ADA),
    "set_spending_cap": lambda b: b.ledger.set_spending_cap(ADA, SpendingCap(ONE, None)),
    "receipts": lambda b: b.ledger.receipts(ADA, before=(NOW, "turn"), limit=5),
    "usage_sums": lambda b: b.ledger.usage_sums(ADA, "day", NOW, LATER),
    "verify": lambda b: b.ledger.verify(),
    "unknown_costs": lambda b: b.ledger.unknown_costs(5),
    "customer_of": lambda b: b.billing.customer_of(ADA),
    "user_of": lambda b: b.billing.user_of("cus_1"),
    "link_customer": lambda b: b.billing.link_customer(ADA, "cus_1"),
    "unlink_customer": lambda b: b.billing.unlink_customer("cus_1"),
    "subscription": lambda b: b.billing.subscription(ADA),
    "save_subscription": lambda b: b.billing.save_subscription(ADA, SUBSCRIPTION),
    "customers": lambda b: b.billing.customers(None, 5),
    "record_event": lambda b: b.billing.record_event(EVENT),
    "mark_applied": lambda b: b.billing.mark_applied("evt_1"),
    "mark_failed": lambda b: b.billing.mark_failed("evt_1", "Broken"),
    "event": lambda b: b.billing.event("evt_1"),
    "pending_events": lambda b: b.billing.pending_events(LATER, 5),
    "begin": lambda b: b.deletions.begin(ADA),
    "is_locked": lambda b: b.deletions.is_locked(ADA),
    "locked_since": lambda b: b.deletions.locked_since(NOW),
    "claim_due": lambda b: b.deletions.claim_due("me", NOW, LATER, 5),
    "mark_done": lambda b: b.deletions.mark_done(ID, "files"),
    "retry_at": lambda b: b.deletions.retry_at(ID, LATER),
    "erase_records": lambda b: b.deletions.erase_records(ADA),
    "finish": lambda b: b.deletions.finish(ID),
    "files": lambda b: b.steps[0].run(ADA),
    "sign_in": lambda b: b.steps[1].run(ADA),
}
FAULTS: tuple[Fault, ...] = ("down", "error", "nonsense", "lost", "empty")


@pytest.fixture
async def project() -> AsyncIterator[FakeSupabaseProject]:
    async with FakeSupabaseProject() as fake:
        yield fake


@pytest.fixture
async def books(project: FakeSupabaseProject) -> AsyncIterator[SupabaseBooks]:
    opened = books_of(project)
    yield opened
    await opened.close()


async def test_whatever_is_asked_of_a_project_that_fails_is_unavailable(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    for fault in FAULTS:
        project.fail(fault)
        for call in CALLS.values():
            with pytest.raises(ServiceUnavailable):
                await call(books)


async def test_a_failed_call_is_not_tried_again_by_itself(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    for fault in FAULTS:
        project.calls.clear()
        project.fail(fault)
        with pytest.raises(ServiceUnavailable):
            await books.ledger.grant(ADA, ONE, "in_1")
        assert project.calls == ["/rest/v1/rpc/chuk_grant"]


async def test_a_project_that_never_answers_is_given_up_in_time(
    project: FakeSupabaseProject,
) -> None:
    books = books_of(project, timeout=0.3)
    project.fail("slow")
    for name in ("settle", "record_event", "begin", "files", "sign_in"):
        with pytest.raises(ServiceUnavailable):
            await CALLS[name](books)
    project.heal()
    await books.close()


async def test_a_project_that_is_not_there_is_unavailable() -> None:
    books = open_supabase_books(
        url="http://127.0.0.1:1", service_role_key="a key", timeout=5, free_messages=3
    )
    for call in CALLS.values():
        with pytest.raises(ServiceUnavailable):
            await call(books)
    await books.close()


async def test_an_answer_that_was_lost_is_found_again_by_asking_again(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    async def twice(call: Callable[[], Awaitable[object]]) -> object:
        project.fail("lost", times=1)
        with pytest.raises(ServiceUnavailable):
            await call()
        return await call()

    ledger = books.ledger
    assert await twice(lambda: ledger.grant(ADA, MicroEuro(1_000), "in_1", NOW)) is False
    await twice(lambda: ledger.open_hold(hold_request("turn", 300)))
    assert (await ledger.purse(ADA)).held == 300
    settled = await twice(lambda: ledger.settle("turn", MicroEuro(120), usage()))
    assert settled == Resolved(MicroEuro(120), is_new=False)
    assert await twice(lambda: ledger.take_back(ADA, "in_1", MicroEuro(80), "re_1")) == 80
    assert await twice(lambda: ledger.give_back(ADA, "re_1")) == 80
    assert await twice(lambda: ledger.lapse(ADA, "ended")) == 0
    purse = await ledger.purse(ADA)
    assert (purse.available, purse.held) == (0, 0)
    assert len(await ledger.receipts(ADA, before=None, limit=5)) == 1
    assert await twice(lambda: books.billing.record_event(EVENT)) is True
    assert await twice(lambda: books.billing.link_customer(ADA, "cus_1")) == "cus_1"
    assert await twice(lambda: books.deletions.begin(ADA)) is not None
    assert await ledger.verify() == []


async def test_a_call_that_is_cancelled_leaves_the_connection_usable(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    project.fail("slow")
    waiting = asyncio.create_task(books.ledger.purse(ADA))
    async with asyncio.timeout(30):
        while not project.calls:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    project.heal()
    assert (await books.ledger.purse(ADA)).free_total == 3


async def test_a_key_that_the_project_does_not_take_is_not_the_users_fault(
    project: FakeSupabaseProject,
) -> None:
    books = open_supabase_books(
        url=project.url, service_role_key="another key", timeout=20, free_messages=3
    )
    for call in CALLS.values():
        with pytest.raises(ServiceUnavailable):
            await call(books)
    await books.close()


async def test_a_project_without_the_migrations_is_unavailable() -> None:
    database = await empty_project()
    async with FakeSupabaseProject(database) as project:
        books = books_of(project)
        with pytest.raises(ServiceUnavailable):
            await books.ledger.purse(ADA)
        await books.close()
    await database.drop()


async def test_what_the_database_refuses_of_ours_is_our_own_fault(
    project: FakeSupabaseProject,
) -> None:
    connected = SupabaseProject(project.url, project.service_role_key, timeout=20)
    with pytest.raises(InternalError):
        await connected.call("is_locked", answers.truth, user_id="no uuid")
    await connected.close()


async def test_the_client_never_becomes_anybody_else(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    await books.ledger.purse(ADA)
    client = books.project.client
    assert client.options.headers["Authorization"] == f"Bearer {project.service_role_key}"
    assert await client.auth.get_session() is None
