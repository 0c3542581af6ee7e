"""A user can turn the pages of all usage, and sum it up; and knows a cost beforehand."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chuk.catalog.models import Pricing
from chuk.credits.estimate import Estimate
from chuk.credits.ledger import HoldRequest, Operation, SpendingCap
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from chuk.credits.pricing import PriceList
from chuk.credits.quotes import Quotes
from chuk.credits.receipts import Page, Receipts, receipt_object, sum_object
from chuk.errors import InsufficientCredits, InvalidRequest, QuotaExceeded
from tests.credits.books import EURO, FREE_MESSAGES, USER, Time, a_usage, give

OTHER = UUID(int=8)
ONE = PriceList(Decimal(1), Decimal(0))
CHEAP = Pricing(Decimal("1e-6"), Decimal("1e-6"))


async def work(store: LedgerStore, time: Time, id: str, cost: int, user: UUID = USER) -> None:  # noqa: A002
    """One finished piece of work."""
    await store.open_hold(_request(id, user, cost, time))
    await store.settle(id, MicroEuro(cost), a_usage(total_tokens=3))


def _request(id: str, user: UUID, at_most: int, time: Time, at_least: int = 1) -> HoldRequest:  # noqa: A002
    return HoldRequest(
        id,
        user,
        Operation.CHAT,
        "maker/painter",
        "one",
        MicroEuro(at_most),
        MicroEuro(at_least),
        True,
        "process-1",
        time.now() + timedelta(minutes=1),
    )


async def test_pages_hold_every_receipt_once_newest_first(store: LedgerStore, time: Time) -> None:
    await give(store, EURO, OTHER)
    for number in range(25):
        await work(store, time, f"work-{number:02}", number + 1)
        await work(store, time, f"others-{number:02}", 5, OTHER)
        time.pass_by(60 if number % 3 else 0)
    receipts = Receipts(store, clock=time.now)
    seen: list[str] = []
    cursor: str | None = None
    while not seen or cursor is not None:
        page = await receipts.page(USER, limit=4, cursor=cursor)
        seen += [receipt.id for receipt in page.receipts]
        cursor = page.next_cursor
        if cursor is not None:
            # What comes in between moves nothing.
            await work(store, time, f"between-{len(seen)}", 1)
    assert len(seen) == len(set(seen)) == 25
    assert sorted(seen) == [f"work-{number:02}" for number in range(25)]


async def test_a_full_last_page_is_not_followed_by_an_empty_one(
    store: LedgerStore, time: Time
) -> None:
    for number in range(4):
        await work(store, time, f"work-{number}", 1)
    receipts = Receipts(store, clock=time.now)
    first = await receipts.page(USER, limit=2)
    assert first.next_cursor is not None
    assert (await receipts.page(USER, limit=2, cursor=first.next_cursor)).next_cursor is None
    assert await receipts.page(OTHER, limit=2) == Page((), None)


async def test_a_span_has_its_beginning_and_not_its_end(store: LedgerStore, time: Time) -> None:
    moments: list[datetime] = []
    for number in range(5):
        moments.append(time.now())
        await work(store, time, f"work-{number}", 1)
        time.pass_by(60)
    receipts = Receipts(store, clock=time.now)
    page = await receipts.page(USER, limit=10, since=moments[1], until=moments[3])
    assert [each.id for each in page.receipts] == ["work-2", "work-1"]
    page = await receipts.page(USER, limit=2, since=moments[1])
    page = await receipts.page(USER, limit=2, since=moments[1], cursor=page.next_cursor)
    assert [each.id for each in page.receipts] == ["work-2", "work-1"]
    assert page.next_cursor is not None
    page = await receipts.page(USER, limit=2, since=moments[1], cursor=page.next_cursor)
    assert page == Page((), None)


async def test_sums_are_of_the_last_thirty_days_up_to_now(store: LedgerStore, time: Time) -> None:
    for number in range(3):
        await work(store, time, f"work-{number}", 100)
        time.pass_by(20 * 86_400)
    await work(store, time, "work-3", 7)
    receipts = Receipts(store, clock=time.now)
    days = [sum_object(each) for each in await receipts.sums(USER, "day")]
    assert [(day["key"], day["charged_eur"]) for day in days] == [
        ("2026-03-16", 0.000007),
        ("2026-02-24", 0.0001),
    ]
    (model,) = await receipts.sums(
        USER, "model", since=datetime.min.replace(year=2025, tzinfo=time.now().tzinfo)
    )
    assert (model.key, model.requests, model.charged) == ("maker/painter", 4, 307)


async def test_a_receipt_says_what_and_why(store: LedgerStore, time: Time) -> None:
    await work(store, time, "work-1", 250_000)
    page = await Receipts(store, clock=time.now).page(USER, limit=1)
    assert receipt_object(page.receipts[0]) == {
        "id": "work-1",
        "created_at": "2026-01-15T10:30:00Z",
        "operation": "chat",
        "model": "maker/painter",
        "provider": "one",
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 3,
        "held_eur": 0.25,
        "charged_eur": 0.25,
        "cost_usd": 0.25,
        "basis": "upstream",
        "outcome": "completed",
        "free_message": False,
        "zdr": True,
        "tags": {},
        "api_key_id": None,
    }


def _encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "ü",
        "!!!!",
        "a" * 5_000,
        _encoded("2026-01-15T10:30:00+00:00"),
        _encoded("2026-01-15T10:30:00+00:00 "),
        _encoded("yesterday work-1"),
        _encoded("0001-01-01T00:00:00+14:00 work-1"),
        _encoded("2026-01-15T10:30:00+00:00 a\0b"),
    ],
)
async def test_a_cursor_that_is_none_of_ours_is_refused(store: LedgerStore, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        await Receipts(store).page(USER, limit=1, cursor=cursor)


# Quotes.


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    credit=st.integers(0, 5_000),
    daily=st.none() | st.integers(0, 5_000),
    monthly=st.none() | st.integers(0, 5_000),
    free_used=st.integers(0, FREE_MESSAGES),
    spent=st.integers(0, 2_000),
    prompt=st.integers(0, 2_000),
    longest=st.integers(1, 2_000),
)
async def test_a_quote_foretells_what_a_hold_then_does(
    store: LedgerStore,
    time: Time,
    credit: int,
    daily: int | None,
    monthly: int | None,
    free_used: int,
    spent: int,
    prompt: int,
    longest: int,
) -> None:
    time.pass_by(1)
    user = UUID(int=int(time.now().timestamp()))
    for number in range(free_used):
        await store.open_hold(_request(f"free-{user}-{number}", user, 1, time))
        await store.settle(f"free-{user}-{number}", MicroEuro(0), a_usage())
    await store.grant(user, MicroEuro(credit + spent), f"gift {user}")
    if spent:
        await work(store, time, f"spent {user}", spent, user)
    cap = SpendingCap(
        None if daily is None else MicroEuro(daily), None if monthly is None else MicroEuro(monthly)
    )
    await store.set_spending_cap(user, cap)
    estimate = Estimate(ONE, (CHEAP,), prompt, longest)
    quote = await Quotes(store, clock=time.now).of(user, estimate)
    request = _request(f"asked {user}", user, estimate.at_most, time, estimate.at_least)
    try:
        hold = await store.open_hold(request)
    except (InsufficientCredits, QuotaExceeded):
        assert not quote.is_affordable
        return
    assert quote.is_affordable
    assert quote.uses_free_message is hold.is_free_message
    if not hold.is_free_message:
        assert quote.max_tokens == estimate.affordable_tokens(hold.amount)
        assert quote.max_cost == hold.amount
    await store.release(request.id, a_usage())


async def test_what_is_free_of_charge_is_affordable_to_everybody(
    store: LedgerStore, time: Time
) -> None:
    quote = await Quotes(store, clock=time.now).of(OTHER, Estimate(ONE, (Pricing(),), 10, 100))
    assert quote.is_affordable and not quote.uses_free_message
    assert (quote.max_cost, quote.min_cost, quote.max_tokens) == (0, 0, 100)
