"""Customers, subscriptions and the inbox. `BillingStore`, on every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from chuk.billing.ports import InboxEvent, Subscription
from tests.contracts.stores import ADA, BOB, NOW, BooksUnderTest

SUBSCRIPTION = Subscription(
    id="sub_1",
    customer_id="cus_1",
    status="active",
    current_period_start=NOW,
    current_period_end=NOW + timedelta(days=31),
    cancel_at_period_end=False,
)


def event(event_id: str, **changes: str | None) -> InboxEvent:
    """An event about Ada's customer."""
    return replace(InboxEvent(event_id, "invoice.paid", "cus_1", "in_1", NOW), **changes)


async def test_a_customer_and_its_user_find_each_other(books: BooksUnderTest) -> None:
    assert await books.billing.customer_of(ADA) is None
    assert await books.billing.user_of("cus_1") is None
    assert await books.billing.link_customer(ADA, "cus_1") == "cus_1"
    assert await books.billing.customer_of(ADA) == "cus_1"
    assert await books.billing.user_of("cus_1") == ADA


async def test_the_first_customer_of_a_user_wins(books: BooksUnderTest) -> None:
    await books.billing.link_customer(ADA, "cus_1")
    assert await books.billing.link_customer(ADA, "cus_2") == "cus_1"
    assert await books.billing.link_customer(ADA, "cus_1") == "cus_1"
    assert await books.billing.user_of("cus_2") is None


async def test_of_many_customers_at_once_one_is_tied(books: BooksUnderTest) -> None:
    tied = await asyncio.gather(*(books.billing.link_customer(ADA, f"cus_{n}") for n in range(9)))
    assert len(set(tied)) == 1
    assert await books.billing.customer_of(ADA) == tied[0]


async def test_a_customer_of_somebody_else_is_not_tied(books: BooksUnderTest) -> None:
    await books.billing.link_customer(ADA, "cus_1")
    with pytest.raises(ValueError):  # noqa: PT011
        await books.billing.link_customer(BOB, "cus_1")
    assert await books.billing.user_of("cus_1") == ADA
    assert await books.billing.customer_of(BOB) is None


async def test_a_deleted_customer_is_forgotten_with_its_subscription(
    books: BooksUnderTest,
) -> None:
    await books.billing.link_customer(ADA, "cus_1")
    await books.billing.save_subscription(ADA, SUBSCRIPTION)
    for _ in range(2):
        await books.billing.unlink_customer("cus_1")
    assert await books.billing.customer_of(ADA) is None
    assert await books.billing.user_of("cus_1") is None
    assert await books.billing.subscription(ADA) is None
    assert list(await books.billing.customers(None, 9)) == []
    assert await books.billing.link_customer(ADA, "cus_2") == "cus_2"


async def test_a_subscription_is_replaced_as_a_whole(books: BooksUnderTest) -> None:
    assert await books.billing.subscription(ADA) is None
    await books.billing.save_subscription(ADA, SUBSCRIPTION)
    assert await books.billing.subscription(ADA) == SUBSCRIPTION
    other = Subscription("sub_2", "cus_1", "past_due", None, None, cancel_at_period_end=True)
    await books.billing.save_subscription(ADA, other)
    assert await books.billing.subscription(ADA) == other
    assert await books.billing.subscription(BOB) is None


async def test_customers_are_paged_by_their_id(books: BooksUnderTest) -> None:
    people = {f"cus_{name}": UUID(int=number) for number, name in enumerate("bAcad", 1)}
    for customer, user in people.items():
        await books.billing.link_customer(user, customer)
    linked = [(name, people[name]) for name in sorted(people) if await _tied(books, name)]
    seen: list[tuple[str, UUID]] = []
    while page := await books.billing.customers(seen[-1][0] if seen else None, 2):
        seen += page
    assert seen == linked


async def _tied(books: BooksUnderTest, customer_id: str) -> bool:
    return await books.billing.user_of(customer_id) is not None


async def test_an_event_is_new_until_it_was_applied(books: BooksUnderTest) -> None:
    assert await books.billing.record_event(event("evt_1"))
    assert await books.billing.record_event(event("evt_1"))
    await books.billing.mark_applied("evt_1")
    assert not await books.billing.record_event(event("evt_1"))


async def test_an_event_that_failed_is_new_again_and_its_attempts_are_counted(
    books: BooksUnderTest,
) -> None:
    await books.billing.record_event(event("evt_1"))
    for _ in range(2):
        await books.billing.mark_failed("evt_1", "ProviderError")
    assert await books.billing.record_event(event("evt_1"))
    assert await books.billing.event("evt_1") == replace(event("evt_1"), attempts=2)
    await books.billing.mark_applied("evt_1")
    await books.billing.mark_failed("evt_1", "ProviderError")
    assert not await books.billing.record_event(event("evt_1"))


async def test_an_event_is_kept_as_it_came(books: BooksUnderTest) -> None:
    bare = event("evt_1", customer_id=None, object_id=None)
    await books.billing.record_event(bare)
    assert await books.billing.event("evt_1") == bare
    assert await books.billing.event("evt_2") is None


async def test_pending_events_come_oldest_first_and_not_too_soon(books: BooksUnderTest) -> None:
    for name in ("c", "a", "b", "d"):
        await books.billing.record_event(event(name))
        books.clock.move(seconds=1)
    await books.billing.mark_applied("a")
    await books.billing.mark_failed("b", "ProviderError")
    before_d = NOW + timedelta(seconds=3)
    assert [each.id for each in await books.billing.pending_events(before_d, 9)] == ["c", "b"]
    assert [each.id for each in await books.billing.pending_events(before_d, 1)] == ["c"]
    assert list(await books.billing.pending_events(NOW, 9)) == []
