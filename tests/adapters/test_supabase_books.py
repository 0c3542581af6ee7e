"""The books in a Supabase project, where a second process or the app itself is at work too."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import psycopg
import pytest

from chuk.accounts.ports import OpenHoldsError
from chuk.adapters.supabase.books import SupabaseBooks
from chuk.billing.ports import InboxEvent, Subscription
from chuk.credits.ledger import Hold, Resolved
from chuk.credits.money import MicroEuro
from chuk.errors import Forbidden, InsufficientCredits
from tests.adapters.supabase_work import ADA, BOB, NOW, books_of, hold_request, usage
from tests.fakes.supabase_project import FakeSupabaseProject

_LOADED = """
import sys
import chuk.app, chuk.adapters.supabase.books
print(sorted({"supabase", "postgrest", "realtime"} & set(sys.modules)))
"""


@pytest.fixture
async def project() -> AsyncIterator[FakeSupabaseProject]:
    async with FakeSupabaseProject() as fake:
        yield fake


@pytest.fixture
async def books(project: FakeSupabaseProject) -> AsyncIterator[SupabaseBooks]:
    opened = books_of(project)
    yield opened
    assert await opened.ledger.verify() == []
    await opened.close()


async def test_sixty_holds_at_once_on_two_connections_never_overspend(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    other = books_of(project)
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    held = await asyncio.gather(
        *(
            each.ledger.open_hold(hold_request(f"{name} {turn}", 700, 700))
            for turn in range(30)
            for name, each in (("here", books), ("there", other))
        ),
        return_exceptions=True,
    )
    kinds = [type(each) for each in held]
    assert kinds.count(Hold) == 14 and kinds.count(InsufficientCredits) == 46
    purse = await books.ledger.purse(ADA)
    assert (purse.available, purse.held) == (200, 9_800)
    await other.close()


async def test_a_hold_that_is_ended_from_all_sides_at_once_ends_once(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("turn", 5_000))
    ends = await asyncio.gather(
        *(books.ledger.settle("turn", MicroEuro(1_000), usage()) for _ in range(5)),
        *(books.ledger.release("turn", usage()) for _ in range(5)),
    )
    assert sum(end.is_new for end in ends) == 1
    assert len({end.charged for end in ends}) == 1
    assert len(await project.database.run("select 1 from public.usage_logs")) == 1


async def test_a_grant_that_comes_from_all_sides_at_once_is_given_once(
    books: SupabaseBooks,
) -> None:
    given = await asyncio.gather(
        *(books.ledger.grant(ADA, MicroEuro(16_000_000), "in_1", NOW) for _ in range(8))
    )
    assert sorted(given) == [False] * 7 + [True]
    assert (await books.ledger.purse(ADA)).available == 16_000_000


async def test_a_deletion_and_a_hold_at_once_never_both_think_they_came_first(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    held = await asyncio.gather(
        *(books.ledger.open_hold(hold_request(f"turn {turn}", 10)) for turn in range(10)),
        books.deletions.begin(ADA),
        *(books.ledger.open_hold(hold_request(f"turn {turn}", 10)) for turn in range(10, 20)),
        return_exceptions=True,
    )
    opened = [each for each in held if isinstance(each, Hold)]
    assert all(isinstance(each, Forbidden) for each in held if isinstance(each, Exception))
    with pytest.raises(Forbidden):
        await books.ledger.open_hold(hold_request("too late", 10))
    if opened:
        with pytest.raises(OpenHoldsError):
            await books.deletions.erase_records(ADA)
    await asyncio.gather(*(books.ledger.release(each.id, usage()) for each in opened))
    await books.deletions.erase_records(ADA)
    assert await project.database.run("select 1 from public.user_billing") == []


async def test_two_customers_at_once_for_one_person_become_one(books: SupabaseBooks) -> None:
    tied = await asyncio.gather(
        *(books.billing.link_customer(ADA, f"cus_{number}") for number in range(6))
    )
    assert len(set(tied)) == 1


async def test_deletions_are_claimed_by_one_process_each(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    await books.deletions.begin(ADA)
    await books.deletions.begin(BOB)
    lease = NOW + timedelta(minutes=1)
    claimed = await asyncio.gather(
        *(books.deletions.claim_due(f"process {number}", NOW, lease, 1) for number in range(6))
    )
    assert sorted(each.user_id for some in claimed for each in some) == [ADA, BOB]


async def test_an_entry_of_the_ledger_can_be_neither_changed_nor_removed(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    for attempt in (
        "update chuk.ledger_entries set available_micro = 0",
        "delete from chuk.ledger_entries",
        "truncate chuk.ledger_entries",
    ):
        with pytest.raises(psycopg.Error, match="only ever added to"):
            await project.database.run(attempt.encode())


async def test_a_balance_changed_by_hand_is_found(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("open", 2_000))
    await books.ledger.open_hold(hold_request("ended", 1_000))
    await books.ledger.settle("ended", MicroEuro(400), usage())

    async def found(change: str, back: str) -> list[tuple[str, int, int]]:
        await project.database.run(change.encode())
        differences = await books.ledger.verify()
        await project.database.run(back.encode())
        return [(each.what, each.recorded, each.computed) for each in differences]

    purse, holds, logs = "public.user_billing", "chuk.holds", "public.usage_logs"
    assert await found(
        f"update {purse} set available_micro = available_micro + 5",
        f"update {purse} set available_micro = available_micro - 5",
    ) == [("available", 7_605, 7_600)]
    assert await found(
        f"update {purse} set held_micro = 0", f"update {purse} set held_micro = 2000"
    ) == [("held", 0, 2_000)]
    assert await found(
        f"update {purse} set free_messages_used = 2",
        f"update {purse} set free_messages_used = 0",
    ) == [("free_used", 2, 0)]
    assert await found(
        f"update {holds} set amount_micro = 1 where id = 'open'",
        f"update {holds} set amount_micro = 2000 where id = 'open'",
    ) == [("hold:open", 1, 2_000)]
    assert await found(
        f"update {holds} set state = 'settled' where id = 'open'",
        f"update {holds} set state = 'open' where id = 'open'",
    ) == [("hold:open", 0, 2_000)]
    assert await found(
        f"update {logs} set charged_micro = 399", f"update {logs} set charged_micro = 400"
    ) == [("usage", 399, 400)]


async def test_what_is_erased_leaves_a_month_without_a_name(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    await project.add_user(ADA)
    await project.database.run("insert into public.profiles (id) values (%s)", ADA)
    people = {"ada": ADA, "bob": BOB}
    for name, user in people.items():
        await books.ledger.grant(user, MicroEuro(10_000), f"a cent for {name}")
        await books.ledger.open_hold(hold_request(f"turn of {name}", 1_000, user=user))
        await books.ledger.settle(f"turn of {name}", MicroEuro(420), usage())
        await books.billing.link_customer(user, f"cus_{name}")
        await books.billing.save_subscription(
            user, Subscription("sub", f"cus_{name}", "active", NOW, NOW, False)
        )
        await books.billing.record_event(
            InboxEvent(f"evt_{name}", "invoice.paid", f"cus_{name}", "in_1", NOW)
        )
    for name, user in people.items():
        deletion = await books.deletions.begin(user)
        assert deletion is not None
        # A customer that is gone at Stripe is still known to have been this person's.
        await books.billing.unlink_customer(f"cus_{name}")
        await books.deletions.erase_records(user)
        await books.deletions.erase_records(user)
        await books.deletions.finish(deletion.id)
    totals = await project.database.run(
        "select to_char(month, 'YYYY-MM-DD'), model_id, requests, total_tokens, cost_usd::text,"
        " charged_micro from chuk.usage_totals"
    )
    assert totals == [("2026-01-01", "qwen/qwen3-32b", 2, 346, "0.00084", 840)]
    # The sign-in is another step's.
    assert await rows_that_name(project, str(ADA)) == {"auth.users"}
    for word in (str(BOB), "cus_ada", "cus_bob", "a cent", "turn of"):
        assert await rows_that_name(project, word) == set()
    for person in (ADA, BOB):
        assert await books.deletions.is_locked(person)
        assert await books.deletions.begin(person) is None
    assert await books.billing.event("evt_ada") is not None


async def rows_that_name(project: FakeSupabaseProject, word: str) -> set[str]:
    """The tables that have a row with this word anywhere in it."""
    tables: Sequence[tuple[str, str]] = await project.database.run(  # type: ignore[assignment]
        "select schemaname, tablename from pg_tables"
        " where schemaname in ('public', 'chuk', 'auth', 'storage')"
    )
    found = set()
    for schema, table in tables:
        query = f"select 1 from {schema}.{table} t where t::text like '%' || '{word}' || '%'"
        if await project.database.run(query.encode()):
            found.add(f"{schema}.{table}")
    return found


async def test_after_the_erasure_nothing_about_the_person_comes_back(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    deletion = await books.deletions.begin(ADA)
    assert deletion is not None
    await books.deletions.erase_records(ADA)
    await books.deletions.finish(deletion.id)
    assert not await books.ledger.grant(ADA, MicroEuro(1), "late")
    assert await books.ledger.lapse(ADA, "late") == 0
    assert await books.ledger.take_back(ADA, "late", MicroEuro(1), "late refund") == 0
    assert (await books.ledger.purse(ADA)).free_total == 3
    await books.billing.save_subscription(
        ADA, Subscription("sub", "cus_a", "active", None, None, False)
    )
    with pytest.raises(Forbidden):
        await books.billing.link_customer(ADA, "cus_a")
    with pytest.raises(Forbidden):
        await books.ledger.open_hold(hold_request("late", 1))
    assert await rows_that_name(project, str(ADA)) == set()


async def test_a_settled_turn_is_found_again_by_its_second_settling(
    project: FakeSupabaseProject, books: SupabaseBooks
) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("turn", 5_000))
    await books.ledger.settle("turn", MicroEuro(1_000), usage())
    again = await books.ledger.settle("turn", MicroEuro(4_000), usage())
    assert again == Resolved(MicroEuro(1_000), is_new=False)


def test_a_server_without_a_project_does_not_load_supabase_py() -> None:
    looked = subprocess.run(
        [sys.executable, "-c", _LOADED],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert looked.stdout.strip() == "[]"
