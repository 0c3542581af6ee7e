"""The way to Stripe: one customer, one open page, and no second subscription."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from chuk.errors import (
    AlreadySubscribed,
    BillingError,
    ChukError,
    Forbidden,
    NoSubscription,
    ProviderError,
    ServiceUnavailable,
)
from tests.billing.till import APP, OTHER_USER, USER, Till, open_till
from tests.fakes.stripe import PRICE, FakeStripe, Fault

CUSTOMERS = "/v1/customers"
PAGES = "/v1/checkout/sessions"


async def test_the_page_sells_the_plan_to_this_very_user(till: Till) -> None:
    page = await till.page()
    (call,) = till.fake.writes(PAGES)
    customer = await till.store.customer_of(USER)
    assert call.params.pop("metadata").items() >= {"user_id": str(USER)}.items()
    assert call.params == {
        "mode": "subscription",
        "customer": customer,
        "client_reference_id": str(USER),
        "line_items": [{"price": PRICE, "quantity": "1"}],
        "success_url": f"{APP}/billing/success",
        "cancel_url": f"{APP}/billing/cancel",
        "subscription_data": {"metadata": {"user_id": str(USER)}},
    }
    assert page in till.fake.account.sessions
    assert till.fake.account.customers[customer or ""]["metadata"] == {"user_id": str(USER)}


async def test_promotion_codes_and_tax_are_as_the_settings_say(
    fake: FakeStripe, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with open_till(fake, session, tmp_path, promotion_codes=True, automatic_tax=True) as till:
        await till.page()
    (call,) = fake.writes(PAGES)
    assert call.params["allow_promotion_codes"] == "true"
    assert call.params["automatic_tax"] == {"enabled": "true"}
    assert call.params["customer_update"] == {"address": "auto"}


async def test_a_double_click_makes_one_customer_and_one_page(till: Till) -> None:
    pages = await asyncio.gather(*(till.page() for _ in range(5)))
    assert len(set(pages)) == 1
    assert len(till.fake.account.customers) == len(till.fake.account.sessions) == 1


async def test_two_processes_at_once_make_one_customer_and_one_page(
    till: Till, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    customer_made = till.fake.hold(CUSTOMERS, method="POST")
    async with open_till(till.fake, session, tmp_path) as another:
        first = asyncio.create_task(till.page())
        await customer_made.reached.wait()
        second = await another.page()
        customer_made.open()
        assert await first == second
    assert len(till.fake.account.customers) == len(till.fake.account.sessions) == 1


async def test_two_processes_that_both_see_no_page_make_one(
    till: Till, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    looked = till.fake.hold(PAGES, method="GET")
    async with open_till(till.fake, session, tmp_path) as another:
        first = asyncio.create_task(till.page())
        await looked.reached.wait()
        second = await another.page()
        looked.open()
        assert await first == second
    assert len(till.fake.account.sessions) == 1
    assert [call.replayed for call in till.fake.calls if call.method == "POST"] == [
        False,
        False,
        True,
    ]


async def test_an_open_page_is_used_again_and_a_closed_one_is_not(till: Till) -> None:
    first = await till.page()
    assert await till.page() == first
    till.fake.account.now += 86_400 - 60  # a minute is not enough to pay
    second = await till.page()
    assert second != first
    assert till.fake.account.sessions[first]["status"] == "expired"
    till.fake.account.now += 2 * 86_400
    assert await till.page() not in (first, second)


async def test_a_page_for_other_terms_is_closed_before_a_new_one_opens(till: Till) -> None:
    first = await till.page()
    url = await till.checkout.start(USER, "https://elsewhere.test")
    assert not url.endswith(first)
    states = {each["id"]: each["status"] for each in till.fake.account.sessions.values()}
    assert states.pop(first) == "expired"
    assert list(states.values()) == ["open"]


@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "unpaid", "paused"])
async def test_a_live_subscription_is_not_sold_again(till: Till, status: str) -> None:
    subscription = await till.subscribe(tell=False)
    till.fake.account.set_status(subscription["id"], status)
    # No event has told us: Stripe itself is asked.
    with pytest.raises(AlreadySubscribed):
        await till.page()


async def test_who_is_refused_has_the_credits_that_are_paid(till: Till) -> None:
    await till.subscribe(tell=False)
    with pytest.raises(AlreadySubscribed):
        await till.page()
    assert (await till.status()).credits_remaining == 16_000_000


async def test_after_the_end_one_may_subscribe_again(till: Till) -> None:
    subscription = await till.subscribe()
    till.fake.account.cancel(subscription["id"])
    till.fake.account.now += 60
    await till.subscribe()
    assert (await till.status()).subscription_status == "active"
    assert (await till.purse()).available == 16_000_000
    assert len(till.fake.account.customers) == 1


async def test_a_first_payment_that_failed_may_be_tried_again(till: Till) -> None:
    page = await till.page()
    customer = await till.store.customer_of(USER)
    assert customer is not None
    till.fake.account.subscribe(customer, pays=False)
    assert await till.page() == page


async def test_a_customer_deleted_at_stripe_is_made_anew(till: Till) -> None:
    await till.page()
    gone = await till.store.customer_of(USER)
    assert gone is not None
    till.fake.account.delete_customer(gone)
    await till.page()
    assert await till.store.customer_of(USER) not in (gone, None)


async def test_a_customer_is_made_once_though_the_answer_was_lost(till: Till) -> None:
    till.fake.fail(Fault.LOST, CUSTOMERS, method="POST")
    with pytest.raises(ProviderError):
        await till.page()
    await till.page()
    assert len(till.fake.account.customers) == 1


async def test_a_page_is_made_once_though_the_answer_was_lost(till: Till) -> None:
    till.fake.fail(Fault.LOST, PAGES, method="POST")
    with pytest.raises(ProviderError):
        await till.page()
    await till.page()
    assert len(till.fake.account.sessions) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.CARD, BillingError),
        (Fault.INVALID, BillingError),
        (Fault.KEY, ProviderError),
        (Fault.BUSY, ServiceUnavailable),
        (Fault.BROKEN, ProviderError),
        (Fault.DOWN, ProviderError),
        (Fault.NONSENSE, ProviderError),
        (Fault.EMPTY, ProviderError),
        (Fault.CUT, ProviderError),
    ],
)
@pytest.mark.parametrize("path", [CUSTOMERS, PAGES])
async def test_a_failure_is_told_and_mends_itself(
    till: Till, fault: Fault, error: type[ChukError], path: str
) -> None:
    till.fake.fail(fault, path, method="POST")
    with pytest.raises(error):
        await till.page()
    await till.page()
    assert len(till.fake.account.customers) == len(till.fake.account.sessions) == 1


async def test_a_price_that_does_not_exist_is_a_refusal(till: Till) -> None:
    del till.fake.account.prices[PRICE]
    with pytest.raises(BillingError):
        await till.page()


async def test_the_portal_leads_back_to_the_app(till: Till) -> None:
    await till.page()
    url = await till.checkout.portal(USER, APP)
    customer = await till.store.customer_of(USER)
    assert url == f"https://billing.stripe.test/p/session/{customer}"
    (call,) = till.fake.writes("/v1/billing_portal")
    assert call.params == {"customer": customer, "return_url": f"{APP}/billing"}


async def test_there_is_no_portal_without_a_customer(till: Till) -> None:
    with pytest.raises(NoSubscription):
        await till.checkout.portal(OTHER_USER, APP)
    assert till.fake.calls == []


async def test_there_is_no_portal_for_a_customer_deleted_at_stripe(till: Till) -> None:
    await till.subscribe()
    customer = await till.store.customer_of(USER)
    assert customer is not None
    till.fake.account.delete_customer(customer)
    with pytest.raises(NoSubscription):
        await till.checkout.portal(USER, APP)
    assert await till.store.customer_of(USER) is None
    assert (await till.status()).has_subscription is False
    assert (await till.purse()).available == 0


async def test_sync_grants_what_is_paid_before_any_event_came(till: Till) -> None:
    await till.subscribe(tell=False)
    await till.subscriptions.sync(USER)
    assert (await till.status()).has_subscription is True
    assert (await till.purse()).available == 16_000_000
    await till.tell_the_rest(0)
    assert (await till.purse()).available == 16_000_000


async def test_sync_has_nothing_to_ask_for_who_never_subscribed(till: Till) -> None:
    await till.subscriptions.sync(OTHER_USER)
    assert till.fake.calls == []
    assert (await till.status(OTHER_USER)).subscription_status == "none"


async def test_who_pays_while_another_page_is_wanted_is_sold_nothing_twice(till: Till) -> None:
    first = await till.page()
    looked = till.fake.hold("/v1/subscriptions")
    second = asyncio.create_task(till.page())
    await looked.reached.wait()  # it has seen that there is no subscription
    till.fake.account.complete_checkout(first)
    looked.open()
    with pytest.raises(AlreadySubscribed):
        await second
    assert len(till.fake.account.sessions) == 1


async def test_an_account_that_another_process_has_locked_is_sold_nothing(till: Till) -> None:
    await till.page()
    await till.deletions.begin(USER)
    with pytest.raises(Forbidden):
        await till.page()


async def test_a_customer_made_while_its_account_is_locked_is_deleted_again(till: Till) -> None:
    customer_made = till.fake.hold(CUSTOMERS, method="POST")
    page = asyncio.create_task(till.page())
    await customer_made.reached.wait()
    await till.deletions.begin(USER)
    # Stripe's search may not find what was made a moment ago.
    customer_made.open()
    with pytest.raises(Forbidden):
        await page
    (customer,) = till.fake.account.customers.values()
    assert customer["deleted"] is True
