"""Leaving: the subscription ends, the customer is gone, and nothing comes back."""

from __future__ import annotations

import pytest

from chuk.billing.erasure import UnreachableSubscription
from chuk.errors import FeatureDisabled, ProviderError
from tests.billing.till import OTHER_USER, USER, Till
from tests.fakes.stripe import Fault


async def test_the_subscription_is_ended_and_the_customer_deleted_and_forgotten(
    till: Till,
) -> None:
    subscription = await till.subscribe()
    await till.subscribe(OTHER_USER)
    await till.deletions.begin(USER)
    await till.erasure.run(USER)
    account = till.fake.account
    assert account.subscriptions[subscription["id"]]["status"] == "canceled"
    assert account.customers[subscription["customer"]]["deleted"] is True
    assert await till.store.customer_of(USER) is None
    assert await till.store.user_of(subscription["customer"]) is None
    assert await till.store.subscription(USER) is None
    assert (await till.status(OTHER_USER)).has_subscription is True
    methods = [(call.method, call.path.split("/")[2]) for call in till.fake.writes()[-2:]]
    assert methods == [("DELETE", "subscriptions"), ("DELETE", "customers")]


async def test_it_may_run_again(till: Till) -> None:
    await till.subscribe()
    await till.erasure.run(USER)
    writes = len(till.fake.writes())
    await till.erasure.run(USER)
    assert len(till.fake.writes()) == writes


@pytest.mark.parametrize("path", ["/v1/subscriptions", "/v1/customers"])
@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.LOST])
async def test_it_goes_on_where_it_failed(till: Till, path: str, fault: Fault) -> None:
    subscription = await till.subscribe()
    # aiohttp sends a DELETE again by itself when its connection breaks.
    till.fake.fail(fault, path, method="DELETE", times=2 if fault is Fault.LOST else 1)
    with pytest.raises(ProviderError):
        await till.erasure.run(USER)
    assert await till.store.customer_of(USER) is not None
    await till.erasure.run(USER)
    assert till.fake.account.customers[subscription["customer"]]["deleted"] is True
    assert await till.store.customer_of(USER) is None


async def test_who_never_subscribed_has_nothing_to_end(till: Till) -> None:
    await till.erasure.run(USER)
    assert till.fake.writes() == []
    assert till.fake.calls != [], "it asked whether a customer was made and forgotten"


async def test_a_customer_that_our_records_do_not_know_is_deleted_too(till: Till) -> None:
    known = await till.subscribe()
    lost = till.fake.account.add_customer({"user_id": str(USER)})
    stranger = till.fake.account.add_customer({"user_id": str(OTHER_USER)})
    await till.erasure.run(USER)
    customers = till.fake.account.customers
    assert customers[known["customer"]]["deleted"] and customers[lost["id"]]["deleted"]
    assert "deleted" not in customers[stranger["id"]]


async def test_a_customer_deleted_at_stripe_before_is_only_forgotten(till: Till) -> None:
    subscription = await till.subscribe()
    till.fake.account.delete_customer(subscription["customer"])
    await till.erasure.run(USER)
    assert till.fake.writes("/v1/customers/") == []
    assert await till.store.customer_of(USER) is None


async def test_late_events_bring_nothing_back(till: Till) -> None:
    await till.subscribe(tell=False)
    await till.deletions.begin(USER)
    await till.erasure.run(USER)
    await till.tell_the_rest(0)
    assert (await till.reconciliation.run()).differences == {}
    assert await till.store.customer_of(USER) is None
    assert await till.store.subscription(USER) is None


async def test_a_customer_that_the_deletion_did_not_find_goes_as_soon_as_it_is_seen(
    till: Till,
) -> None:
    await till.deletions.begin(USER)
    await till.erasure.run(USER)
    # Stripe's search did not show it yet, and the process that made it died.
    lost = till.fake.account.add_customer({"user_id": str(USER)})
    till.fake.account.subscribe(lost["id"])
    dry = await till.reconciliation.run(dry_run=True)
    assert dry.differences == {lost["id"]: ("is of an erased account",)}
    assert "deleted" not in till.fake.account.customers[lost["id"]]
    report = await till.reconciliation.run()
    assert report.differences == {lost["id"]: ("erased",)}
    assert till.fake.account.customers[lost["id"]]["deleted"] is True
    assert {each["status"] for each in till.fake.account.subscriptions.values()} == {"canceled"}
    assert (await till.reconciliation.run()).differences == {}


async def test_with_billing_switched_off_a_customer_is_not_forgotten(till: Till) -> None:
    step = UnreachableSubscription(till.store)
    await step.run(OTHER_USER)
    await till.subscribe()
    with pytest.raises(FeatureDisabled):
        await step.run(USER)
