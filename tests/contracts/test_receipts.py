"""Receipts, sums and proofs. `LedgerStore`, on every store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chuk.credits.ledger import Basis, Difference, Operation, Outcome, Receipt, UsageSum
from chuk.credits.money import MicroEuro
from tests.contracts.stores import ADA, BOB, NOW, BooksUnderTest, hold_request, usage


async def take(
    books: BooksUnderTest, name: str, cost: int, *, model_id: str = "m", tokens: int = 100
) -> None:
    """Ada's turn, begun and settled."""
    await books.ledger.open_hold(hold_request(name, 0))
    await books.ledger.settle(name, MicroEuro(cost), usage(model_id=model_id, tokens=tokens))


async def test_a_receipt_says_all_that_is_known_of_a_turn(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("turn", 4_000))
    books.clock.move(seconds=5)
    record = usage(outcome=Outcome.CANCELLED, basis=Basis.TOKENS, cost_usd="0.000000123")
    await books.ledger.settle("turn", MicroEuro(420), record)
    assert list(await books.ledger.receipts(ADA, before=None, limit=10)) == [
        Receipt(
            id="turn",
            created_at=NOW + timedelta(seconds=5),
            operation=Operation.CHAT,
            held=MicroEuro(4_000),
            charged=MicroEuro(420),
            is_free_message=False,
            usage=record,
        )
    ]


async def test_a_failure_has_a_receipt_that_says_nothing_was_taken(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await books.ledger.open_hold(hold_request("turn", 4_000))
    record = usage(outcome=Outcome.FAILED, basis=Basis.NOTHING, cost_usd="0")
    await books.ledger.release("turn", record)
    (receipt,) = await books.ledger.receipts(ADA, before=None, limit=10)
    assert (receipt.held, receipt.charged, receipt.usage) == (4_000, 0, record)


async def test_receipts_come_newest_first_and_page_without_gap_or_repeat(
    books: BooksUnderTest,
) -> None:
    for name in ("b", "a", "c", "e", "d", "f", "B"):
        await take(books, name, 1)
        if name in "ce":
            books.clock.move(microseconds=1)
    seen: list[str] = []
    before = None
    while page := await books.ledger.receipts(ADA, before=before, limit=2):
        assert len(page) <= 2
        seen += [receipt.id for receipt in page]
        before = (page[-1].created_at, page[-1].id)
    assert seen == ["f", "d", "B", "e", "c", "b", "a"]
    assert list(await books.ledger.receipts(BOB, before=None, limit=10)) == []


async def test_usage_by_day_is_in_utc_newest_first_and_half_open(books: BooksUnderTest) -> None:
    for moment, cost in (
        (datetime(2026, 1, 14, 23, 59, 59, 999_999, tzinfo=UTC), 1),
        (datetime(2026, 1, 15, tzinfo=UTC), 20),
        (datetime(2026, 1, 15, 12, tzinfo=UTC), 300),
        (datetime(2026, 1, 16, tzinfo=UTC), 4_000),
    ):
        books.clock.now = moment
        await take(books, f"turn of {cost}", cost)
    sums = await books.ledger.usage_sums(
        ADA, "day", datetime(2026, 1, 14, tzinfo=UTC), datetime(2026, 1, 16, tzinfo=UTC)
    )
    assert list(sums) == [
        UsageSum("2026-01-15", 2, 90, 110, 200, MicroEuro(320)),
        UsageSum("2026-01-14", 1, 45, 55, 100, MicroEuro(1)),
    ]


async def test_usage_by_model_is_dearest_first(books: BooksUnderTest) -> None:
    for number, (model_id, cost) in enumerate((("a", 5), ("b", 30), ("c", 7), ("a", 3))):
        await take(books, f"turn {number}", cost, model_id=model_id)
    sums = await books.ledger.usage_sums(ADA, "model", NOW, NOW + timedelta(seconds=1))
    assert [(each.key, each.requests, each.charged) for each in sums] == [
        ("b", 1, 30),
        ("a", 2, 8),
        ("c", 1, 7),
    ]
    assert list(await books.ledger.usage_sums(ADA, "model", NOW, NOW)) == []
    assert list(await books.ledger.usage_sums(BOB, "model", NOW, books.clock.move(days=1))) == []


async def test_costs_that_stayed_unknown_are_reported_newest_first_for_all_users(
    books: BooksUnderTest,
) -> None:
    for name, user, basis in (
        ("1", ADA, Basis.UNKNOWN),
        ("2", ADA, Basis.UPSTREAM),
        ("3", BOB, Basis.UNKNOWN),
        ("4", ADA, Basis.UNKNOWN),
    ):
        await books.ledger.open_hold(hold_request(name, 0, user=user))
        await books.ledger.release(name, usage(basis=basis))
        books.clock.move(seconds=1)
    assert [each.id for each in await books.ledger.unknown_costs(2)] == ["4", "3"]
    assert [each.id for each in await books.ledger.unknown_costs(9)] == ["4", "3", "1"]


@pytest.mark.parametrize(("what", "rightly"), [("available", 6_000), ("allocated", 10_000)])
async def test_a_purse_that_was_tampered_with_is_found(
    books: BooksUnderTest, what: str, rightly: int
) -> None:
    await books.ledger.grant(ADA, MicroEuro(500), "of the period before", NOW - timedelta(days=31))
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent", NOW)
    await books.ledger.grant(BOB, MicroEuro(10_000), "another")
    await books.ledger.open_hold(hold_request("turn", 4_000))
    assert list(await books.ledger.verify()) == []
    await books.tamper(ADA, what, 7)
    assert list(await books.ledger.verify()) == [
        Difference(ADA, what, recorded=rightly + 7, computed=rightly)
    ]
    await books.tamper(ADA, what, -7)
    assert list(await books.ledger.verify()) == []
