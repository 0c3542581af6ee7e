"""Accounts that are locked, erased and forgotten. `DeletionStore`, on every store."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from chuk.accounts.ports import Deletion, OpenHoldsError
from chuk.billing.ports import InboxEvent, Subscription
from chuk.credits.ledger import SpendingCap
from chuk.credits.money import MicroEuro
from chuk.errors import Forbidden
from tests.contracts.stores import ADA, BOB, MODEL, NOW, BooksUnderTest, hold_request, usage

SOON = NOW + timedelta(minutes=1)


async def begin(books: BooksUnderTest) -> Deletion:
    """Ada asks to be forgotten."""
    deletion = await books.deletions.begin(ADA)
    assert deletion is not None
    return deletion


async def test_a_deletion_locks_the_account_from_then_on(books: BooksUnderTest) -> None:
    assert not await books.deletions.is_locked(ADA)
    deletion = await begin(books)
    assert (deletion.user_id, deletion.done, deletion.attempts, deletion.requested_at) == (
        ADA,
        frozenset(),
        0,
        NOW,
    )
    assert await books.deletions.is_locked(ADA)
    assert not await books.deletions.is_locked(BOB)


async def test_a_second_request_finds_the_deletion_that_is_under_way(
    books: BooksUnderTest,
) -> None:
    first = await begin(books)
    await books.deletions.mark_done(first.id, "subscription")
    books.clock.move(hours=1)
    again = await begin(books)
    assert (again.id, again.requested_at) == (first.id, NOW)
    assert again.done == {"subscription"}
    many = await asyncio.gather(*(books.deletions.begin(BOB) for _ in range(8)))
    assert len({each.id for each in many if each}) == 1


@pytest.mark.parametrize("at_most", [0, 100])
async def test_a_locked_account_holds_nothing_any_more(books: BooksUnderTest, at_most: int) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("before", 100))
    await begin(books)
    with pytest.raises(Forbidden):
        await books.ledger.open_hold(hold_request("after", at_most, free=True))
    # What is running is still settled.
    assert (await books.ledger.settle("before", MicroEuro(40), usage())).charged == 40


async def test_an_account_that_never_had_a_purse_is_locked_too(books: BooksUnderTest) -> None:
    await begin(books)
    with pytest.raises(Forbidden):
        await books.ledger.open_hold(hold_request("after", 0))


async def test_a_lock_and_holds_at_once_never_leave_a_hold_behind_the_lock(
    books: BooksUnderTest,
) -> None:
    held, deletion = await asyncio.gather(
        asyncio.gather(
            *(books.ledger.open_hold(hold_request(f"{n}", 0)) for n in range(8)),
            return_exceptions=True,
        ),
        books.deletions.begin(ADA),
    )
    assert deletion is not None
    assert {type(each).__name__ for each in held} <= {"Hold", "Forbidden"}
    with pytest.raises(Forbidden):
        await books.ledger.open_hold(hold_request("after", 0))


async def test_other_processes_hear_of_the_locks_they_missed(books: BooksUnderTest) -> None:
    await begin(books)
    moment = books.clock.move(seconds=1)
    assert list(await books.deletions.locked_since(NOW)) == [ADA]
    assert list(await books.deletions.locked_since(moment)) == []
    later = await books.deletions.begin(BOB)
    assert later is not None
    assert list(await books.deletions.locked_since(NOW)) == [ADA, BOB]
    await books.deletions.finish(later.id)
    assert list(await books.deletions.locked_since(NOW)) == [ADA]


async def test_a_deletion_is_claimed_by_one_process_until_its_lease_ends(
    books: BooksUnderTest,
) -> None:
    deletion = await begin(books)
    claims = await asyncio.gather(
        *(books.deletions.claim_due(f"{n}", NOW, SOON, 9) for n in range(5))
    )
    assert [each.id for claim in claims for each in claim] == [deletion.id]
    before = SOON - timedelta(microseconds=1)
    assert list(await books.deletions.claim_due("b", before, SOON, 9)) == []
    assert len(await books.deletions.claim_due("b", SOON, SOON, 9)) == 1


async def test_a_failed_step_makes_it_due_again_at_its_time(books: BooksUnderTest) -> None:
    deletion = await begin(books)
    await books.deletions.claim_due("a", NOW, SOON, 9)
    await books.deletions.mark_done(deletion.id, "subscription")
    await books.deletions.mark_done(deletion.id, "subscription")
    due = NOW + timedelta(hours=1)
    await books.deletions.retry_at(deletion.id, due)
    before = due - timedelta(microseconds=1)
    assert list(await books.deletions.claim_due("b", before, due, 9)) == []
    (again,) = await books.deletions.claim_due("b", due, due, 9)
    assert (again.attempts, again.done) == (1, {"subscription"})


async def test_no_more_are_claimed_than_asked_for(books: BooksUnderTest) -> None:
    await books.deletions.begin(ADA)
    await books.deletions.begin(BOB)
    assert len(await books.deletions.claim_due("a", NOW, SOON, 1)) == 1
    assert len(await books.deletions.claim_due("b", NOW, SOON, 9)) == 1


async def test_books_with_open_holds_cannot_be_erased(books: BooksUnderTest) -> None:
    await books.ledger.open_hold(hold_request("turn", 0))
    await begin(books)
    with pytest.raises(OpenHoldsError):
        await books.deletions.erase_records(ADA)
    assert await books.naming(ADA)
    await books.ledger.release("turn", usage())
    await books.deletions.erase_records(ADA)


async def test_of_an_erased_account_only_sums_without_a_user_are_left(
    books: BooksUnderTest,
) -> None:
    await live(books)
    await books.ledger.grant(BOB, MicroEuro(10_000), "bob's")
    await books.ledger.open_hold(hold_request("bob's turn", 100, user=BOB))
    await books.ledger.settle("bob's turn", MicroEuro(40), usage())
    deletion = await begin(books)
    await books.deletions.mark_done(deletion.id, "subscription")
    for _ in range(2):
        await books.deletions.erase_records(ADA)
    await books.deletions.finish(deletion.id)
    await books.deletions.finish(deletion.id)
    await books.deletions.mark_done(deletion.id, "too late")
    await books.deletions.retry_at(deletion.id, SOON)
    for word in (ADA, ADA.hex, str(ADA), "cus_ada", "turn of ada", "grant of ada"):
        assert await books.naming(word) == set()
    assert [tuple(row) for row in await books.anonymous()] == [
        ("2026-01", "chat", MODEL, 2, 346, "0.00084", 840),
        ("2026-02", "chat", MODEL, 1, 173, "0.00042", 420),
    ]
    assert (await books.ledger.purse(BOB)).available == 9_960
    assert list(await books.ledger.verify()) == []


async def live(books: BooksUnderTest) -> None:
    """Ada leaves a trace in every table."""
    await books.ledger.grant(ADA, MicroEuro(10_000), "grant of ada 1", NOW)
    await books.ledger.set_spending_cap(ADA, SpendingCap(MicroEuro(9_000), None))
    for turn in range(2):
        await books.ledger.open_hold(hold_request(f"turn of ada {turn}", 1_000))
        await books.ledger.settle(f"turn of ada {turn}", MicroEuro(420), usage())
    await books.ledger.open_hold(hold_request("turn of ada 3", 1_000))
    books.clock.move(days=20)
    await books.ledger.grant(ADA, MicroEuro(10_000), "grant of ada 2", books.clock.now)
    await books.ledger.settle("turn of ada 3", MicroEuro(420), usage())
    await books.ledger.take_back(ADA, "grant of ada 2", MicroEuro(1), "refund of ada")
    await books.ledger.lapse(ADA, "end of ada")
    await books.billing.link_customer(ADA, "cus_ada")
    await books.billing.save_subscription(
        ADA, Subscription("sub", "cus_ada", "active", NOW, NOW, cancel_at_period_end=False)
    )
    await books.billing.record_event(InboxEvent("evt_1", "invoice.paid", "cus_ada", "in_ada", NOW))
    # Gone at Stripe, and still known to have been hers.
    await books.billing.unlink_customer("cus_ada")


async def test_sums_of_several_people_add_up(books: BooksUnderTest) -> None:
    for user in (ADA, BOB):
        await books.ledger.open_hold(hold_request(str(user), 0, user=user))
        await books.ledger.settle(str(user), MicroEuro(7), usage(cost_usd="0.0000001"))
        await books.deletions.begin(user)
        await books.deletions.erase_records(user)
    ((*_, requests, tokens, _cost, charged),) = await books.anonymous()
    assert (requests, tokens, charged) == (2, 346, 14)


async def test_an_erased_account_stays_locked_and_is_not_deleted_again(
    books: BooksUnderTest,
) -> None:
    deletion = await begin(books)
    await books.deletions.erase_records(ADA)
    await books.deletions.finish(deletion.id)
    assert await books.deletions.is_locked(ADA)
    assert await books.deletions.begin(ADA) is None
    assert list(await books.deletions.claim_due("a", SOON, SOON, 9)) == []
    assert not await books.deletions.is_locked(BOB)


@pytest.mark.parametrize("is_finished", [False, True])
async def test_nothing_that_comes_late_brings_an_erased_account_back(
    books: BooksUnderTest, is_finished: bool
) -> None:
    await books.ledger.purse(ADA)
    deletion = await begin(books)
    await books.deletions.erase_records(ADA)
    if is_finished:
        await books.deletions.finish(deletion.id)
    before = await books.naming(ADA)
    assert not await books.ledger.grant(ADA, MicroEuro(1), "late", NOW)
    assert await books.ledger.lapse(ADA, "late") == 0
    assert await books.ledger.take_back(ADA, "late", MicroEuro(1), "late") == 0
    assert (await books.ledger.purse(ADA)).available == 0
    await books.billing.save_subscription(
        ADA, Subscription("sub", "cus", "active", NOW, NOW, cancel_at_period_end=False)
    )
    for late in (
        books.billing.link_customer(ADA, "cus"),
        books.ledger.open_hold(hold_request("late", 0)),
        books.ledger.set_spending_cap(ADA, SpendingCap()),
    ):
        with pytest.raises(Forbidden):
            await late
    assert await books.naming(ADA) == before


async def test_an_event_about_an_erased_account_is_kept_without_whom_it_was_about(
    books: BooksUnderTest,
) -> None:
    await books.billing.link_customer(ADA, "cus_ada")
    await begin(books)
    await books.deletions.erase_records(ADA)
    # Deleting a customer makes events of its own, which come after everything is erased.
    late = InboxEvent("evt_late", "customer.deleted", "cus_ada", "sub_ada", NOW)
    assert await books.billing.record_event(late)
    await books.billing.mark_applied(late.id)
    for name in ("cus_ada", "sub_ada"):
        assert await books.naming(name) == set()
    assert not await books.billing.record_event(late)


async def test_an_event_that_names_no_customer_is_kept_without_its_object(
    books: BooksUnderTest,
) -> None:
    # Nobody could find it again when its account is erased.
    dispute = InboxEvent("evt_1", "charge.dispute.created", None, "du_ada", NOW)
    assert await books.billing.record_event(dispute)
    assert await books.billing.event("evt_1") == dispute
    await books.billing.mark_applied("evt_1")
    assert await books.naming("du_ada") == set()
