"""Credits that come, lapse and are taken back. `LedgerStore`, on every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from chuk.credits.ledger import Purse
from chuk.credits.money import MicroEuro
from tests.contracts.stores import ADA, BOB, FREE_MESSAGES, BooksUnderTest, hold_request, usage

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def books_prove_themselves(books: BooksUnderTest) -> object:
    """Whatever a test does, the entries explain every figure afterwards."""
    yield
    assert list(await books.ledger.verify()) == []


async def grant(
    books: BooksUnderTest, amount: int, reference: str, period: datetime | None = None
) -> bool:
    """Give Ada credits."""
    return await books.ledger.grant(ADA, MicroEuro(amount), reference, period)


async def left(books: BooksUnderTest) -> tuple[int, int]:
    """What Ada has available, of how much."""
    purse = await books.ledger.purse(ADA)
    return purse.available, purse.allocated


async def hold(books: BooksUnderTest, name: str, amount: int) -> None:
    """Ada begins something."""
    assert (await books.ledger.open_hold(hold_request(name, amount))).amount == amount


async def settle(books: BooksUnderTest, name: str, cost: int) -> None:
    """It ends, at this cost."""
    assert (await books.ledger.settle(name, MicroEuro(cost), usage())).charged == cost


async def test_a_purse_comes_into_being_with_the_plans_free_messages(
    books: BooksUnderTest,
) -> None:
    assert await books.ledger.purse(ADA) == Purse(
        available=MicroEuro(0),
        held=MicroEuro(0),
        allocated=MicroEuro(0),
        period=None,
        free_total=FREE_MESSAGES,
        free_used=0,
    )


async def test_a_grant_is_given_once_for_each_reference(books: BooksUnderTest) -> None:
    assert await grant(books, 10_000, "in_1", JANUARY)
    assert not await grant(books, 10_000, "in_1", JANUARY)
    assert not await grant(books, 99, "in_1", FEBRUARY)
    assert await grant(books, 1_000, "in_2")
    assert await left(books) == (11_000, 11_000)
    assert (await books.ledger.purse(ADA)).period == JANUARY
    assert (await books.ledger.purse(BOB)).available == 0


async def test_a_grant_from_all_sides_at_once_is_given_once(books: BooksUnderTest) -> None:
    given = await asyncio.gather(*(grant(books, 10_000, "in_1", JANUARY) for _ in range(20)))
    assert sum(given) == 1
    assert await left(books) == (10_000, 10_000)


async def test_a_later_period_lapses_what_is_left_of_the_old_one(books: BooksUnderTest) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await grant(books, 500, "a present")
    await hold(books, "turn", 2_000)
    await settle(books, "turn", 1_000)
    assert await grant(books, 7_000, "in_2", FEBRUARY)
    assert await left(books) == (7_000, 7_000)
    assert (await books.ledger.purse(ADA)).period == FEBRUARY


async def test_the_first_period_keeps_what_was_there_before(books: BooksUnderTest) -> None:
    await grant(books, 500, "a present")
    await hold(books, "turn", 200)
    await grant(books, 10_000, "in_1", JANUARY)
    await settle(books, "turn", 100)
    assert await left(books) == (10_400, 10_500)


async def test_another_grant_of_the_same_period_adds_to_it(books: BooksUnderTest) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await grant(books, 5_000, "in_2", JANUARY)
    assert await left(books) == (15_000, 15_000)


async def test_a_grant_that_comes_too_late_is_entered_and_lapses_at_once(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "in_2", FEBRUARY)
    assert await grant(books, 5_000, "in_1", JANUARY)
    assert not await grant(books, 5_000, "in_1", JANUARY)
    assert await left(books) == (10_000, 10_000)
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(5_000), "re_1") == 0
    assert await left(books) == (10_000, 10_000)


async def test_a_debt_is_paid_by_the_next_period(books: BooksUnderTest) -> None:
    await grant(books, 1_000, "in_1", JANUARY)
    await hold(books, "turn", 1_000)
    await settle(books, "turn", 1_300)
    await grant(books, 10_000, "in_2", FEBRUARY)
    assert await left(books) == (9_700, 10_000)


async def test_what_a_hold_gives_back_to_a_lapsed_period_lapses_at_once(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    for name in ("settled", "released", "dearer"):
        await hold(books, name, 1_000)
    await grant(books, 7_000, "in_2", FEBRUARY)
    await hold(books, "new", 1_000)
    await settle(books, "settled", 400)
    await books.ledger.release("released", usage())
    assert await left(books) == (6_000, 7_000)
    await settle(books, "dearer", 1_200)
    assert await left(books) == (5_800, 7_000)
    await settle(books, "new", 400)
    assert await left(books) == (6_400, 7_000)


async def test_the_end_of_a_subscription_lapses_everything_once(books: BooksUnderTest) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await hold(books, "turn", 1_000)
    assert await books.ledger.lapse(ADA, "sub_1") == 9_000
    assert await left(books) == (0, 0)
    assert (await books.ledger.purse(ADA)).period == JANUARY
    await settle(books, "turn", 400)
    assert await left(books) == (0, 0)
    await grant(books, 500, "a present")
    assert await books.ledger.lapse(ADA, "sub_1") == 0
    assert await left(books) == (500, 500)
    assert await books.ledger.lapse(ADA, "sub_2") == 500


async def test_a_lapse_leaves_a_debt(books: BooksUnderTest) -> None:
    await grant(books, 1_000, "in_1", JANUARY)
    await hold(books, "turn", 1_000)
    await settle(books, "turn", 1_300)
    assert await books.ledger.lapse(ADA, "sub_1") == 0
    assert await left(books) == (-300, 0)


async def test_free_messages_outlive_every_lapse(books: BooksUnderTest) -> None:
    await books.ledger.open_hold(hold_request("turn", 9, free=True))
    await grant(books, 10, "in_1", JANUARY)
    await books.ledger.lapse(ADA, "sub_1")
    await books.ledger.release("turn", usage())
    purse = await books.ledger.purse(ADA)
    assert (purse.free_total, purse.free_used) == (FREE_MESSAGES, 0)


async def test_a_refund_takes_back_a_part_once_for_each_reference(books: BooksUnderTest) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    for _ in range(2):
        assert await books.ledger.take_back(ADA, "in_1", MicroEuro(4_000), "re_1") == 4_000
    assert (await left(books))[0] == 6_000
    taken = await asyncio.gather(
        *(books.ledger.take_back(ADA, "in_1", MicroEuro(1_000), "re_2") for _ in range(10))
    )
    assert set(taken) == {1_000}
    assert (await left(books))[0] == 5_000


async def test_a_refund_never_takes_more_than_its_grant_or_than_is_there(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await grant(books, 500, "a present")
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(7_000), "re_1") == 7_000
    await hold(books, "turn", 1_500)
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(2_500), "re_2") == 2_000
    assert (await left(books))[0] == 0
    await books.ledger.release("turn", usage())
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(9_000), "re_3") == 1_000
    assert (await left(books))[0] == 500
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(9_000), "re_4") == 0


async def test_a_refund_of_a_purse_in_debt_takes_nothing(books: BooksUnderTest) -> None:
    await grant(books, 1_000, "in_1", JANUARY)
    await hold(books, "turn", 1_000)
    await settle(books, "turn", 1_300)
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(1_000), "re_1") == 0
    # A repeat is what it was then, whatever has come since.
    await grant(books, 5_000, "a present")
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(1_000), "re_1") == 0
    assert (await left(books))[0] == 4_700


async def test_a_refund_of_a_lapsed_grant_takes_nothing(books: BooksUnderTest) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await grant(books, 10_000, "in_2", FEBRUARY)
    await hold(books, "turn", 1_000)
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(10_000), "re_1") == 0
    await settle(books, "turn", 400)
    assert await left(books) == (9_600, 10_000)


async def test_what_holds_give_back_of_a_grant_that_was_wholly_asked_back_lapses(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await hold(books, "turn", 4_000)
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(3_000), "re_1") == 3_000
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(7_000), "re_2") == 3_000
    await settle(books, "turn", 1_000)
    assert (await left(books))[0] == 0


async def test_what_holds_give_back_of_a_grant_asked_back_in_part_stays(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await hold(books, "turn", 4_000)
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(9_999), "re_1") == 6_000
    await settle(books, "turn", 1_000)
    assert (await left(books))[0] == 3_000


async def test_a_refund_undone_gives_back_what_it_took_once_and_as_if_nothing_had_been(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(4_000), "re_1") == 4_000
    given = await asyncio.gather(*(books.ledger.give_back(ADA, "re_1") for _ in range(10)))
    assert set(given) == {4_000}
    assert await left(books) == (10_000, 10_000)
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(10_000), "re_2") == 10_000
    assert await left(books) == (0, 10_000)
    assert list(await books.ledger.verify()) == []


async def test_a_refund_of_a_lapsed_grant_that_is_undone_gives_nothing(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await books.ledger.take_back(ADA, "in_1", MicroEuro(4_000), "re_1")
    await grant(books, 10_000, "in_2", FEBRUARY)
    assert await books.ledger.give_back(ADA, "re_1") == 0
    assert await left(books) == (10_000, 10_000)


async def test_a_refund_that_never_was_or_is_somebody_elses_gives_nothing(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await books.ledger.take_back(ADA, "in_1", MicroEuro(4_000), "re_1")
    await books.ledger.purse(BOB)
    assert await books.ledger.give_back(ADA, "re_2") == 0
    assert await books.ledger.give_back(BOB, "re_1") == 0
    assert await left(books) == (6_000, 10_000)


async def test_what_an_earlier_version_gave_back_as_a_grant_is_not_given_again(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "in_1", JANUARY)
    await books.ledger.take_back(ADA, "in_1", MicroEuro(4_000), "re_1")
    await grant(books, 4_000, "re_1:undone", JANUARY)
    assert await books.ledger.give_back(ADA, "re_1") == 0
    assert (await left(books))[0] == 10_000


@pytest.mark.parametrize("owner", [None, BOB])
async def test_a_refund_of_a_grant_that_is_not_the_users_takes_nothing_yet(
    books: BooksUnderTest, owner: object
) -> None:
    if owner is not None:
        await books.ledger.grant(BOB, MicroEuro(10_000), "in_1", JANUARY)
        assert await books.ledger.take_back(ADA, "in_1", MicroEuro(500), "re_1") == 0
        assert (await books.ledger.purse(BOB)).available == 10_000
        return
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(500), "re_1") == 0
    await grant(books, 10_000, "in_1", JANUARY)
    assert await books.ledger.take_back(ADA, "in_1", MicroEuro(500), "re_1") == 500


async def test_the_same_reference_may_name_a_grant_a_lapse_and_a_refund(
    books: BooksUnderTest,
) -> None:
    await grant(books, 10_000, "evt", JANUARY)
    assert await books.ledger.take_back(ADA, "evt", MicroEuro(1_000), "evt") == 1_000
    assert await books.ledger.lapse(ADA, "evt") == 9_000
    await grant(books, 10_000, "in_3", MARCH)
    assert await left(books) == (10_000, 10_000)


async def test_calls_of_all_kinds_at_once_leave_books_that_prove_themselves(
    books: BooksUnderTest,
) -> None:
    await grant(books, 50_000, "in_1", JANUARY)
    for turn in range(6):
        await hold(books, f"turn {turn}", 1_000)
    await asyncio.gather(
        *(books.ledger.settle(f"turn {n}", MicroEuro(500 * n), usage()) for n in range(6)),
        *(books.ledger.open_hold(hold_request(f"new {n}", 2_000)) for n in range(6)),
        books.ledger.grant(ADA, MicroEuro(40_000), "in_2", FEBRUARY),
        books.ledger.take_back(ADA, "in_1", MicroEuro(5_000), "re_1"),
        books.ledger.lapse(ADA, "sub_1"),
        return_exceptions=True,
    )
    assert list(await books.ledger.verify()) == []
