"""Personal API keys, and budgets of their own. `ApiKeyStore` and `LedgerStore`, on every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chuk.accounts.principal import Scope
from chuk.credits.ledger import Hold, SpendingCap
from chuk.credits.money import MicroEuro
from chuk.errors import Forbidden, InsufficientCredits, InvalidToken, QuotaExceeded
from tests.contracts.stores import (
    ADA,
    BOB,
    NOW,
    BooksUnderTest,
    api_key,
    hold_request,
    kept_key,
    usage,
)

DIGEST = bytes(range(32))


async def spend(books: BooksUnderTest, turn: str, cost: int, **request: object) -> None:
    """A whole turn that costs so much."""
    await books.ledger.open_hold(hold_request(turn, cost, **request))  # type: ignore[arg-type]
    await books.ledger.settle(turn, MicroEuro(cost), usage())


async def test_a_key_is_found_by_its_digest_with_all_that_was_said_of_it(
    books: BooksUnderTest,
) -> None:
    full = api_key(
        "ci – büro",
        budget=5_000_000,
        scopes=frozenset({Scope.CHAT, Scope.MODELS}),
        expires_at=NOW + timedelta(days=30, microseconds=1),
    )
    plain = api_key("plain")
    assert await books.api_keys.add(full, DIGEST, most=9)
    assert await books.api_keys.add(plain, DIGEST[::-1], most=9)
    assert await books.api_keys.find(DIGEST) == full
    assert await books.api_keys.find(DIGEST[::-1]) == plain
    assert await books.api_keys.find(b"\0" * 32) is None


async def test_a_user_sees_their_own_keys_the_oldest_first(books: BooksUnderTest) -> None:
    newer = await kept_key(books, "newer", created_at=NOW + timedelta(seconds=1))
    older = await kept_key(books, "older")
    await kept_key(books, "bob's", user=BOB)
    assert list(await books.api_keys.of_user(ADA)) == [older, newer]


async def test_a_user_has_no_more_keys_than_allowed_however_they_ask(
    books: BooksUnderTest,
) -> None:
    keys = [api_key(f"{number}") for number in range(8)]
    added = await asyncio.gather(
        *(books.api_keys.add(key, key.id.bytes * 2, most=3) for key in keys)
    )
    assert sum(added) == len(await books.api_keys.of_user(ADA)) == 3
    await kept_key(books, "bob's", user=BOB)


async def test_only_its_owner_removes_a_key_and_once(books: BooksUnderTest) -> None:
    key = await kept_key(books)
    assert not await books.api_keys.remove(BOB, key.id)
    assert await books.api_keys.remove(ADA, key.id)
    assert not await books.api_keys.remove(ADA, key.id)
    assert await books.api_keys.find(key.id.bytes * 2) is None
    assert list(await books.api_keys.of_user(ADA)) == []


async def test_the_latest_use_is_kept_in_whatever_order_uses_are_told(
    books: BooksUnderTest,
) -> None:
    key = await kept_key(books)
    later = NOW + timedelta(minutes=5)
    await books.api_keys.note_use(key.id, later)
    await books.api_keys.note_use(key.id, NOW)
    assert await books.api_keys.find(key.id.bytes * 2) == replace(key, last_used_at=later)
    await books.api_keys.remove(ADA, key.id)
    await books.api_keys.note_use(key.id, later)


async def test_an_account_under_deletion_gets_no_key(books: BooksUnderTest) -> None:
    await books.deletions.begin(ADA)
    with pytest.raises(Forbidden):
        await books.api_keys.add(api_key(), DIGEST, most=9)


async def test_erasing_an_account_erases_its_keys_and_nobody_elses(books: BooksUnderTest) -> None:
    key, bobs = await kept_key(books), await kept_key(books, user=BOB)
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await spend(books, "turn", 1_000, key=key)
    deletion = await books.deletions.begin(ADA)
    assert deletion is not None
    await books.deletions.erase_records(ADA)
    await books.deletions.finish(deletion.id)
    assert await books.naming(ADA) == await books.naming(key.id) == set()
    assert await books.api_keys.find(key.id.bytes * 2) is None
    assert await books.api_keys.find(bobs.id.bytes * 2) == bobs


async def test_what_went_through_a_key_is_on_its_receipts_and_in_its_sum(
    books: BooksUnderTest,
) -> None:
    key, other = await kept_key(books), await kept_key(books, "other")
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    await spend(books, "by key", 1_000, key=key)
    books.clock.move(seconds=1)
    await spend(books, "by hand", 2_000)
    await books.ledger.open_hold(hold_request("open", 500, key=key))
    receipts = await books.ledger.receipts(ADA, before=None, limit=9)
    assert [(each.id, each.api_key_id) for each in receipts] == [
        ("by hand", None),
        ("by key", key.id),
    ]
    listed = {each.id: each.spent for each in await books.api_keys.of_user(ADA)}
    assert listed == {key.id: 1_000, other.id: 0}
    books.clock.now = datetime(2026, 2, 1, tzinfo=UTC)
    assert {each.spent for each in await books.api_keys.of_user(ADA)} == {0}
    assert list(await books.ledger.verify()) == []


async def test_a_budget_counts_what_went_through_the_key_this_utc_month_and_its_open_holds(
    books: BooksUnderTest,
) -> None:
    await books.ledger.grant(ADA, MicroEuro(100_000), "ten cents")
    key = await kept_key(books, budget=5_000)
    await spend(books, "by hand", 9_000)
    books.clock.now = datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    await spend(books, "settled", 1_500, key=key)
    assert (await books.ledger.open_hold(hold_request("open", 2_000, key=key))).amount == 2_000
    rest = await books.ledger.open_hold(hold_request("rest", 2_000, 1_500, key=key))
    assert rest.amount == 1_500
    with pytest.raises(QuotaExceeded) as caught:
        await books.ledger.open_hold(hold_request("too much", 2_000, key=key))
    assert caught.value.details == {
        "period": "month",
        "cap": 0.005,
        "spent": 0.005,
        "api_key_id": str(key.id),
    }
    # Nobody else is bound by it.
    assert (await books.ledger.open_hold(hold_request("by hand again", 2_000))).amount == 2_000
    books.clock.move(microseconds=1)
    # What was settled is last month's now; what is open still counts.
    assert (await books.ledger.open_hold(hold_request("next", 9_000, key=key))).amount == 1_500


async def test_what_a_budget_leaves_is_told_without_holding_anything(
    books: BooksUnderTest,
) -> None:
    await books.ledger.grant(ADA, MicroEuro(100_000), "ten cents")
    key, free = await kept_key(books, budget=5_000), await kept_key(books, "without a budget")
    await spend(books, "settled", 1_500, key=key)
    await books.ledger.open_hold(hold_request("open", 3_000, key=key))
    assert await books.ledger.key_budget_left(key.id) == 500
    assert await books.ledger.key_budget_left(free.id) is None
    # A cost above the hold is taken in full.
    await books.ledger.settle("open", MicroEuro(3_700), usage())
    assert await books.ledger.key_budget_left(key.id) == -200
    books.clock.now = datetime(2026, 2, 1, tzinfo=UTC)
    assert await books.ledger.key_budget_left(key.id) == 5_000
    await books.api_keys.remove(ADA, key.id)
    assert await books.ledger.key_budget_left(key.id) == 0


async def test_turns_at_once_never_spend_more_than_the_budget(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(100_000), "ten cents")
    key, other = await kept_key(books, budget=5_000), await kept_key(books, "other", budget=700)
    held = await asyncio.gather(
        *(
            books.ledger.open_hold(hold_request(f"{n}", 700, 700, key=other if n % 4 else key))
            for n in range(40)
        ),
        return_exceptions=True,
    )
    assert [type(each) for each in held].count(Hold) == 7 + 1
    assert [type(each) for each in held].count(QuotaExceeded) == 32


async def test_the_least_room_of_purse_cap_and_budget_counts(books: BooksUnderTest) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    key = await kept_key(books, budget=4_000)
    await books.ledger.set_spending_cap(ADA, SpendingCap(daily=MicroEuro(3_000)))
    assert (await books.ledger.open_hold(hold_request("cap", 9_000, key=key))).amount == 3_000
    await books.ledger.release("cap", usage())
    await books.ledger.set_spending_cap(ADA, SpendingCap(daily=MicroEuro(9_000)))
    assert (await books.ledger.open_hold(hold_request("budget", 9_000, key=key))).amount == 4_000


async def test_a_free_message_through_a_key_counts_nothing(books: BooksUnderTest) -> None:
    key = await kept_key(books, budget=5)
    for turn in range(3):
        hold = await books.ledger.open_hold(hold_request(f"{turn}", 900, free=True, key=key))
        assert hold.is_free_message
        await books.ledger.settle(f"{turn}", MicroEuro(900), usage())
    with pytest.raises(InsufficientCredits):
        await books.ledger.open_hold(hold_request("paid", 900, free=True, key=key))
    (listed,) = await books.api_keys.of_user(ADA)
    assert listed.spent == 0


async def test_a_used_up_budget_still_lets_through_what_is_free_of_charge(
    books: BooksUnderTest,
) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    key = await kept_key(books, budget=1_000)
    await spend(books, "all of it", 1_000, key=key)
    assert (await books.ledger.open_hold(hold_request("free", 0, 0, key=key))).amount == 0


async def test_through_a_key_that_is_gone_or_somebody_elses_nothing_is_held(
    books: BooksUnderTest,
) -> None:
    await books.ledger.grant(ADA, MicroEuro(10_000), "a cent")
    key, bobs = await kept_key(books), await kept_key(books, user=BOB)
    await books.ledger.open_hold(hold_request("before", 1_000, key=key))
    await books.api_keys.remove(ADA, key.id)
    for wrong in (key, bobs):
        with pytest.raises(InvalidToken):
            await books.ledger.open_hold(hold_request("after", 0, key=wrong))
    # What is running is still settled, and a repeat still finds it.
    assert (await books.ledger.open_hold(hold_request("before", 1_000, key=key))).amount == 1_000
    assert (await books.ledger.settle("before", MicroEuro(400), usage())).charged == 400
    assert list(await books.ledger.verify()) == []
