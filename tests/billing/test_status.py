"""What a user is told to have."""

from __future__ import annotations

import pytest

from chuk.billing.status import status_object
from chuk.clock import iso_z
from chuk.credits.money import MicroEuro
from tests.billing.till import USER, Till

_NOTHING = {
    "has_subscription": False,
    "current_plan": None,
    "credits_remaining": 0.0,
    "credits_total": 0.0,
    "subscription_status": "none",
    "current_period_end": None,
    "cancel_at_period_end": False,
    "free_messages_remaining": 10,
    "free_messages_total": 10,
}


async def test_without_a_subscription_there_is_nothing_but_free_messages(till: Till) -> None:
    shown = status_object(await till.status())
    assert shown == _NOTHING
    assert type(shown["credits_remaining"]) is float
    assert type(shown["credits_total"]) is float


async def test_a_subscriber_sees_the_plan_its_credits_and_its_end(till: Till) -> None:
    subscription = await till.subscribe()
    end = subscription["items"]["data"][0]["current_period_end"]
    status = await till.status()
    assert status.current_period_end is not None
    assert status.current_period_end.timestamp() == end
    assert status_object(status) == {
        "has_subscription": True,
        "current_plan": "pro",
        "credits_remaining": 16.0,
        "credits_total": 16.0,
        "subscription_status": "active",
        "current_period_end": iso_z(status.current_period_end),
        "cancel_at_period_end": False,
        "free_messages_remaining": 10,
        "free_messages_total": 10,
    }


async def test_an_ended_subscription_is_none(till: Till) -> None:
    subscription = await till.subscribe()
    seen = len(till.fake.account.events)
    till.fake.account.cancel(subscription["id"])
    await till.tell_the_rest(seen)
    assert status_object(await till.status()) == _NOTHING


@pytest.mark.parametrize("status", ["trialing", "past_due", "unpaid", "paused"])
async def test_a_subscription_that_goes_on_is_one(till: Till, status: str) -> None:
    subscription = await till.subscribe()
    seen = len(till.fake.account.events)
    till.fake.account.set_status(subscription["id"], status)
    await till.tell_the_rest(seen)
    shown = await till.status()
    assert (shown.has_subscription, shown.subscription_status) == (True, status)


async def test_a_first_payment_that_failed_is_no_subscription(till: Till) -> None:
    await till.page()
    customer = await till.store.customer_of(USER)
    assert customer is not None
    till.fake.account.subscribe(customer, pays=False)
    await till.tell_the_rest(0)
    assert status_object(await till.status()) == _NOTHING


async def test_credits_given_by_support_are_seen_without_a_subscription(till: Till) -> None:
    await till.ledger.grant(USER, MicroEuro(2_500_000), "support:1")
    assert status_object(await till.status())["credits_remaining"] == 2.5
