"""A hold: what it takes, what it may not take, how it ends. `LedgerStore`, on every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from chuk.credits.ledger import Basis, Hold, Outcome, Progress, Resolved, SpendingCap
from chuk.credits.money import MicroEuro
from chuk.errors import InsufficientCredits, QuotaExceeded
from tests.contracts.stores import ADA, BOB, NOW, BooksUnderTest, hold_request, usage


@pytest.fixture(autouse=True)
async def books_prove_themselves(books: BooksUnderTest) -> object:
    """Whatever a test does, the entries explain every figure afterwards."""
    yield
    assert list(await books.ledger.verify()) == []


async def figures(books: BooksUnderTest) -> tuple[int, int, int]:
    """What Ada has available and on hold, and how many free messages she used."""
    purse = await books.ledger.purse(ADA)
    return purse.available, purse.held, purse.free_used


async def test_a_hold_takes_what_it_may_cost_at_most(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    hold = await books.ledger.open_hold(hold_request("turn", 4_000, 100))
    assert hold == Hold("turn", ADA, MicroEuro(4_000), is_free_message=False)
    assert await figures(books) == (6_000, 4_000, 0)


async def test_a_hold_takes_what_is_left_if_that_is_less(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    hold = await books.ledger.open_hold(hold_request("turn", 20_000, 10_000))
    assert hold.amount == 10_000
    assert await figures(books) == (0, 10_000, 0)


async def test_less_than_is_needed_at_least_is_refused_and_changes_nothing(
    books: BooksUnderTest,
) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    with pytest.raises(InsufficientCredits) as caught:
        await books.ledger.open_hold(hold_request("turn", 20_000, 10_001))
    assert caught.value.details == {
        "required": 0.010001,
        "available": 0.01,
        "operation": "chat",
    }
    assert await figures(books) == (10_000, 0, 0)


async def test_nothing_is_affordable_from_an_empty_purse_however_cheap(
    books: BooksUnderTest,
) -> None:
    with pytest.raises(InsufficientCredits):
        await books.ledger.open_hold(hold_request("turn", 1, 0))


async def test_a_free_message_stands_in_only_where_credits_do_not_cover_it(
    books: BooksUnderTest,
) -> None:
    await books.ledger.grant(ADA, MicroEuro(100), "little")
    paid = await books.ledger.open_hold(hold_request("paid", 100, 60, free=True))
    assert (paid.amount, paid.is_free_message) == (100, False)
    free = await books.ledger.open_hold(hold_request("free", 100, 60, free=True))
    assert (free.amount, free.is_free_message) == (0, True)
    assert await figures(books) == (0, 100, 1)


async def test_free_messages_are_used_up_and_never_more_than_there_are(
    books: BooksUnderTest,
) -> None:
    for turn in range(3):
        assert (await books.ledger.open_hold(hold_request(str(turn), 9, free=True))).is_free_message
    with pytest.raises(InsufficientCredits):
        await books.ledger.open_hold(hold_request("fourth", 9, free=True))
    purse = await books.ledger.purse(ADA)
    assert (purse.free_total, purse.free_used) == (3, 3)


async def test_a_free_message_is_not_taken_where_none_is_allowed(books: BooksUnderTest) -> None:
    with pytest.raises(InsufficientCredits):
        await books.ledger.open_hold(hold_request("turn", 9))
    assert await figures(books) == (0, 0, 0)


async def test_a_settled_free_message_is_used_and_charges_nothing(books: BooksUnderTest) -> None:
    await books.ledger.open_hold(hold_request("turn", 9, free=True))
    assert await books.ledger.settle("turn", MicroEuro(7), usage()) == Resolved(
        MicroEuro(0), is_new=True
    )
    assert await figures(books) == (0, 0, 1)
    (receipt,) = await books.ledger.receipts(ADA, before=None, limit=9)
    assert (receipt.is_free_message, receipt.held, receipt.charged) == (True, 0, 0)


async def test_a_released_free_message_comes_back(books: BooksUnderTest) -> None:
    await books.ledger.open_hold(hold_request("turn", 9, free=True))
    await books.ledger.release("turn", usage(outcome=Outcome.FAILED, basis=Basis.NOTHING))
    assert await figures(books) == (0, 0, 0)


async def test_work_that_is_free_of_charge_needs_no_purse(books: BooksUnderTest) -> None:
    hold = await books.ledger.open_hold(hold_request("turn", 0, 0))
    assert (hold.amount, hold.is_free_message) == (0, False)
    await books.ledger.settle("turn", MicroEuro(0), usage())
    assert await figures(books) == (0, 0, 0)


async def test_it_is_known_which_holds_are_open(books: BooksUnderTest) -> None:
    assert not await books.ledger.is_held("turn")
    for turn in ("turn", "free of charge"):
        await books.ledger.open_hold(hold_request(turn, 9 if turn == "turn" else 0, free=True))
        assert await books.ledger.is_held(turn)
    await books.ledger.settle("turn", MicroEuro(7), usage())
    await books.ledger.release("free of charge", usage(outcome=Outcome.FAILED))
    assert not await books.ledger.is_held("turn")
    assert not await books.ledger.is_held("free of charge")


async def test_a_cost_below_the_hold_gives_the_rest_back(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("turn", 4_000))
    assert await books.ledger.settle("turn", MicroEuro(1_842), usage()) == Resolved(
        MicroEuro(1_842), is_new=True
    )
    assert await figures(books) == (8_158, 0, 0)


async def test_a_cost_above_the_hold_is_taken_in_full(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(1_000), "little")
    await books.ledger.open_hold(hold_request("turn", 4_000))
    assert (await books.ledger.settle("turn", MicroEuro(1_300), usage())).charged == 1_300
    assert await figures(books) == (-300, 0, 0)
    with pytest.raises(InsufficientCredits) as caught:
        await books.ledger.open_hold(hold_request("next", 1))
    assert caught.value.details["available"] == 0


async def test_a_release_gives_all_of_it_back(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("turn", 4_000))
    released = await books.ledger.release("turn", usage(outcome=Outcome.FAILED))
    assert released == Resolved(MicroEuro(0), is_new=True)
    assert await figures(books) == (10_000, 0, 0)


async def test_a_hold_is_resolved_once_and_says_so_ever_after(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("turn", 4_000))
    await books.ledger.settle("turn", MicroEuro(1_000), usage())
    again = Resolved(MicroEuro(1_000), is_new=False)
    assert await books.ledger.settle("turn", MicroEuro(9), usage()) == again
    assert await books.ledger.release("turn", usage()) == again
    await books.ledger.note_progress("turn", Progress("gen", 1, 2, MicroEuro(3), Decimal(4)))
    assert await figures(books) == (9_000, 0, 0)
    assert len(await books.ledger.receipts(ADA, before=None, limit=9)) == 1


async def test_a_hold_that_never_was_cannot_be_resolved(books: BooksUnderTest) -> None:
    with pytest.raises(LookupError):
        await books.ledger.settle("nobody's", MicroEuro(1), usage())
    with pytest.raises(LookupError):
        await books.ledger.release("nobody's", usage())
    await books.ledger.note_progress("nobody's", Progress())


@pytest.mark.parametrize("is_over", [False, True])
async def test_a_repeated_hold_is_the_one_that_is_there(
    books: BooksUnderTest, is_over: bool
) -> None:
    await books.ledger.grant(ADA, MicroEuro(1_000), "little")
    first = await books.ledger.open_hold(hold_request("turn", 1_000, 1_000))
    if is_over:
        await books.ledger.settle("turn", MicroEuro(1_000), usage())
    assert await books.ledger.open_hold(hold_request("turn", 1_000, 1_000)) == first
    available, held, _ = await figures(books)
    assert (available, held) == (0, 0 if is_over else 1_000)


async def test_sixty_turns_at_once_on_one_cent_never_overspend(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    held = await asyncio.gather(
        *(books.ledger.open_hold(hold_request(f"{n}", 700, 700)) for n in range(60)),
        return_exceptions=True,
    )
    assert [type(each) for each in held].count(Hold) == 14
    assert [type(each) for each in held].count(InsufficientCredits) == 46
    assert await figures(books) == (200, 9_800, 0)


async def test_free_messages_held_at_once_are_never_more_than_there_are(
    books: BooksUnderTest,
) -> None:
    held = await asyncio.gather(
        *(books.ledger.open_hold(hold_request(f"{n}", 700, free=True)) for n in range(20)),
        return_exceptions=True,
    )
    assert [type(each) for each in held].count(Hold) == 3
    assert await figures(books) == (0, 0, 3)


async def test_a_hold_ended_from_all_sides_at_once_ends_once(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("turn", 5_000))
    ends = await asyncio.gather(
        *(books.ledger.settle("turn", MicroEuro(1_000), usage()) for _ in range(5)),
        *(books.ledger.release("turn", usage()) for _ in range(5)),
    )
    assert sum(end.is_new for end in ends) == 1
    assert len({end.charged for end in ends}) == 1
    assert len(await books.ledger.receipts(ADA, before=None, limit=9)) == 1


async def test_one_hold_asked_for_at_once_is_one_hold(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    holds = await asyncio.gather(
        *(books.ledger.open_hold(hold_request("turn", 4_000)) for _ in range(8))
    )
    assert set(holds) == {Hold("turn", ADA, MicroEuro(4_000), is_free_message=False)}
    assert await figures(books) == (6_000, 4_000, 0)


async def test_a_refusal_leaves_those_beside_it_alone(books: BooksUnderTest) -> None:
    await books.ledger.grant(BOB, MicroEuro(10_000), "a cent")
    good, refused, lost = await asyncio.gather(
        books.ledger.open_hold(hold_request("bob's", 4_000, user=BOB)),
        books.ledger.open_hold(hold_request("ada's", 4_000)),
        books.ledger.settle("nobody's", MicroEuro(1), usage()),
        return_exceptions=True,
    )
    assert isinstance(good, Hold)
    assert isinstance(refused, InsufficientCredits)
    assert isinstance(lost, LookupError)
    assert (await books.ledger.purse(BOB)).held == 4_000


async def test_a_daily_cap_counts_what_was_settled_that_utc_day_and_open_holds(
    books: BooksUnderTest,
) -> None:
    await books.ledger.grant(ADA, MicroEuro(100_000), "ten cents")
    await books.ledger.set_spending_cap(ADA, SpendingCap(daily=MicroEuro(5_000)))
    books.clock.now = datetime(2026, 1, 15, 23, 59, 59, 999_999, tzinfo=UTC)
    await books.ledger.open_hold(hold_request("settled", 2_000))
    await books.ledger.settle("settled", MicroEuro(1_500), usage())
    assert (await books.ledger.open_hold(hold_request("open", 2_000))).amount == 2_000
    assert (await books.ledger.open_hold(hold_request("rest", 2_000, 1_500))).amount == 1_500
    with pytest.raises(QuotaExceeded) as caught:
        await books.ledger.open_hold(hold_request("too much", 2_000))
    assert caught.value.details == {"period": "day", "cap": 0.005, "spent": 0.005}
    books.clock.move(microseconds=1)
    # What was settled is yesterday's now; what is open still counts.
    assert (await books.ledger.open_hold(hold_request("next day", 9_000))).amount == 1_500


async def test_a_monthly_cap_counts_from_the_first_of_the_utc_month(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(100_000), "ten cents")
    await books.ledger.set_spending_cap(
        ADA, SpendingCap(daily=MicroEuro(4_000), monthly=MicroEuro(5_000))
    )
    books.clock.now = datetime(2026, 2, 1, tzinfo=UTC)
    await books.ledger.open_hold(hold_request("first", 9_000))
    await books.ledger.settle("first", MicroEuro(4_000), usage())
    books.clock.now = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
    with pytest.raises(QuotaExceeded) as caught:
        await books.ledger.open_hold(hold_request("last", 9_000, 1_001))
    assert caught.value.details == {"period": "month", "cap": 0.005, "spent": 0.004}
    books.clock.move(microseconds=1)
    assert (await books.ledger.open_hold(hold_request("march", 9_000, 1_001))).amount == 4_000


async def test_without_credits_a_cap_does_not_matter(books: BooksUnderTest) -> None:
    await books.ledger.set_spending_cap(ADA, SpendingCap(MicroEuro(0), MicroEuro(0)))
    assert (await books.ledger.open_hold(hold_request("free", 9, free=True))).is_free_message
    with pytest.raises(InsufficientCredits):
        await books.ledger.open_hold(hold_request("paid", 9))


async def test_a_cap_does_not_give_way_to_a_free_message(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.set_spending_cap(ADA, SpendingCap(daily=MicroEuro(5)))
    with pytest.raises(QuotaExceeded):
        await books.ledger.open_hold(hold_request("turn", 9, 6, free=True))
    assert await figures(books) == (10_000, 0, 0)


async def test_both_limits_are_replaced_and_kept(books: BooksUnderTest) -> None:
    assert await books.ledger.spending_cap(ADA) == SpendingCap(None, None)
    for cap in (
        SpendingCap(MicroEuro(1), MicroEuro(2)),
        SpendingCap(None, MicroEuro(0)),
        SpendingCap(None, None),
    ):
        await books.ledger.set_spending_cap(ADA, cap)
        assert await books.ledger.spending_cap(ADA) == cap


async def test_an_orphan_is_claimed_once_with_all_that_is_known_of_it(
    books: BooksUnderTest,
) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("turn", 4_000))
    progress = Progress("gen-7", 45, 12, MicroEuro(321), Decimal("0.000123"))
    await books.ledger.note_progress("turn", Progress("gen-7"))
    await books.ledger.note_progress("turn", progress)
    later = NOW + timedelta(minutes=1)
    until = later + timedelta(minutes=1)
    assert list(await books.ledger.claim_orphans("b", NOW, until, 9)) == []
    claims = await asyncio.gather(
        *(books.ledger.claim_orphans(f"{n}", later, until, 9) for n in range(4))
    )
    (orphan,) = [orphan for claim in claims for orphan in claim]
    assert orphan.hold == Hold("turn", ADA, MicroEuro(4_000), is_free_message=False)
    assert (orphan.operation.value, orphan.model_id, orphan.provider_slug) == (
        "chat",
        "qwen/qwen3-32b",
        "groq",
    )
    assert orphan.progress == progress
    assert (orphan.opened_at, orphan.attempts) == (NOW, 1)
    (again,) = await books.ledger.claim_orphans("c", until, until + timedelta(minutes=1), 9)
    assert again.attempts == 2


async def test_a_generation_that_is_known_is_not_forgotten_by_a_later_note(
    books: BooksUnderTest,
) -> None:
    await books.ledger.open_hold(hold_request("turn", 0))
    await books.ledger.note_progress("turn", Progress("gen-7"))
    await books.ledger.note_progress("turn", Progress(None, 1, 2, MicroEuro(3), Decimal("0.1")))
    later = NOW + timedelta(minutes=1)
    (orphan,) = await books.ledger.claim_orphans("b", later, later, 9)
    assert orphan.progress == Progress("gen-7", 1, 2, MicroEuro(3), Decimal("0.1"))


async def test_the_oldest_orphans_come_first_and_only_so_many(books: BooksUnderTest) -> None:
    for name in ("c", "a", "b"):
        await books.ledger.open_hold(hold_request(name, 0))
        books.clock.move(seconds=1)
    later = NOW + timedelta(minutes=2)
    until = later + timedelta(minutes=1)
    first = await books.ledger.claim_orphans("p", later, until, 2)
    rest = await books.ledger.claim_orphans("p", later, until, 2)
    assert [each.hold.id for each in [*first, *rest]] == ["c", "a", "b"]


async def test_who_lives_keeps_its_own_holds_and_no_others(books: BooksUnderTest) -> None:
    for name, owner in (("1", "a"), ("2", "a"), ("3", "b"), ("4", "a")):
        await books.ledger.open_hold(hold_request(name, 0, owner=owner))
    await books.ledger.settle("4", MicroEuro(0), usage())
    later = NOW + timedelta(minutes=1)
    assert await books.ledger.renew_leases("a", later + timedelta(minutes=1)) == 2
    assert await books.ledger.renew_leases("nobody", later) == 0
    orphans = await books.ledger.claim_orphans("c", later, later, 9)
    assert [each.hold.id for each in orphans] == ["3"]


async def test_a_deferred_hold_waits_though_its_old_owner_lives(books: BooksUnderTest) -> None:
    await books.ledger.open_hold(hold_request("turn", 0, owner="a"))
    due = NOW + timedelta(minutes=5)
    await books.ledger.defer("turn", due)
    await books.ledger.defer("nobody's", due)
    assert await books.ledger.renew_leases("a", due + timedelta(hours=1)) == 0
    before = due - timedelta(microseconds=1)
    assert list(await books.ledger.claim_orphans("b", before, due, 9)) == []
    (orphan,) = await books.ledger.claim_orphans("b", due, due, 9)
    assert orphan.hold.id == "turn"
