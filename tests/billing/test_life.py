"""What happens to a subscription, and what it means for the credits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from chuk.credits.money import MicroEuro
from tests.billing.till import USER, Till, open_supabase_till, open_till
from tests.contracts.stores import hold_request, usage
from tests.fakes.stripe import PRICE, FakeStripe
from tests.fakes.stripe_account import StripeAccount
from tests.fakes.stripe_objects import OTHER_PRICE
from tests.fakes.supabase_project import FakeSupabaseProject

PAID = 16_000_000


@pytest.fixture(params=["sqlite", "supabase"])
async def till(
    request: pytest.FixtureRequest,
    fake: FakeStripe,
    session: aiohttp.ClientSession,
    tmp_path: Path,
) -> AsyncIterator[Till]:
    """A process that bills, over either store."""
    if request.param == "sqlite":
        async with open_till(fake, session, tmp_path) as opened:
            yield opened
        return
    async with (
        FakeSupabaseProject() as project,
        open_supabase_till(fake, session, project) as opened,
    ):
        yield opened


@pytest.fixture
def account(till: Till) -> StripeAccount:
    """What the Stripe account holds."""
    return till.fake.account


async def look(till: Till) -> None:
    """Hear of everything that has happened, again and again."""
    await till.tell_the_rest(0)
    assert await till.ledger.verify() == []


async def spend(till: Till, amount: int) -> None:
    """Stand in for chatting: take credits away for good."""
    await till.ledger.take_back(USER, grant_of(till), MicroEuro(amount), f"spent:{amount}")


def grant_of(till: Till) -> str:
    """The reference of the newest grant."""
    return f"invoice:{list(till.fake.account.invoices)[-1]}"


async def test_a_renewal_lapses_what_is_left_and_grants_anew(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    await spend(till, 6_000_000)
    account.renew(subscription["id"])
    await look(till)
    purse = await till.purse()
    assert (purse.available, purse.allocated) == (PAID, PAID)
    assert purse.period is not None
    start = subscription["items"]["data"][0]["current_period_start"]
    assert purse.period.timestamp() == start


async def test_a_renewal_that_is_not_paid_keeps_what_was_paid_and_grants_nothing(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    await spend(till, 6_000_000)
    invoice = account.renew(subscription["id"], pays=False)
    await look(till)
    assert (await till.purse()).available == 10_000_000
    assert (await till.status()).subscription_status == "past_due"
    account.pay(invoice["id"])
    await look(till)
    assert (await till.purse()).available == PAID
    assert (await till.status()).subscription_status == "active"


async def test_an_invoice_given_up_grants_nothing(till: Till, account: StripeAccount) -> None:
    subscription = await till.subscribe()
    invoice = account.renew(subscription["id"], pays=False)
    account.void(invoice["id"])
    await look(till)
    assert (await till.purse()).available == PAID
    account.cancel(subscription["id"])
    await look(till)
    assert (await till.purse()).available == 0


async def test_cancelled_at_the_end_of_the_period_keeps_its_credits_until_then(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    account.cancel(subscription["id"], at_period_end=True)
    await look(till)
    status = await till.status()
    assert (status.cancel_at_period_end, status.credits_remaining) == (True, PAID)
    account.renew(subscription["id"])
    await look(till)
    status = await till.status()
    assert (status.subscription_status, status.credits_remaining) == ("none", 0)
    assert (status.credits_total, status.free_messages_remaining) == (0, 10)


async def test_a_date_at_the_end_of_the_period_is_shown_as_a_cancellation(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    subscription["cancel_at"] = subscription["items"]["data"][0]["current_period_end"]
    account.set_status(subscription["id"], "active")
    await look(till)
    assert (await till.status()).cancel_at_period_end is True


async def test_an_older_version_that_has_the_period_on_the_subscription_is_read_too(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe(tell=False)
    item = subscription["items"]["data"][0]
    for name in ("current_period_start", "current_period_end"):
        subscription[name] = item.pop(name)
    await look(till)
    end = (await till.status()).current_period_end
    assert end is not None
    assert end.timestamp() == subscription["current_period_end"]


async def test_the_end_of_an_old_subscription_takes_nothing_of_a_newer_one(
    till: Till, account: StripeAccount
) -> None:
    old = await till.subscribe()
    customer = old["customer"]
    account.cancel(old["id"])
    account.now += 3600
    account.subscribe(customer)
    (ended,) = account.events_of("customer.subscription.deleted")
    for event in reversed(account.events.values()):
        await till.hear(event)
    await till.hear(ended)
    assert (await till.purse()).available == PAID
    assert (await till.status()).subscription_status == "active"


async def test_an_invoice_paid_after_the_end_gives_nothing_to_keep(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    invoice = account.renew(subscription["id"], pays=False)
    account.cancel(subscription["id"])
    await look(till)
    account.pay(invoice["id"])
    await look(till)
    assert (await till.purse()).available == 0


async def test_support_credits_outlive_a_second_look_at_an_ended_subscription(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    account.cancel(subscription["id"])
    await look(till)
    await till.ledger.grant(USER, MicroEuro(5), "support:1")
    await till.subscriptions.sync(USER)
    assert (await till.purse()).available == 5


async def test_a_full_refund_takes_back_all_that_is_left(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    await spend(till, 6_000_000)
    account.refund(subscription["latest_invoice"])
    await look(till)
    assert (await till.purse()).available == 0


async def test_a_partial_refund_takes_back_its_part_and_never_more_than_there_is(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    account.refund(subscription["latest_invoice"], 500)
    await look(till)
    assert (await till.purse()).available == 12_000_000
    account.refund(subscription["latest_invoice"], 1000)
    await look(till)
    assert (await till.purse()).available == 4_000_000
    await spend(till, 3_000_000)
    account.refund(subscription["latest_invoice"])
    await look(till)
    assert (await till.purse()).available == 0


async def test_a_full_refund_in_uneven_parts_leaves_nothing_behind(
    till: Till, account: StripeAccount
) -> None:
    account.prices[PRICE]["unit_amount"] = 1700
    subscription = await till.subscribe()
    await till.ledger.open_hold(hold_request("a turn", 6_000_000, user=USER))
    for cents in (567, 567, 566):
        account.refund(subscription["latest_invoice"], cents)
        await look(till)
    assert (await till.purse()).available == 0
    await till.ledger.release("a turn", usage())
    assert (await till.purse()).available == 0


async def test_a_refund_of_an_old_invoice_takes_nothing_of_the_present_period(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    first = subscription["latest_invoice"]
    account.renew(subscription["id"])
    account.refund(first)
    await look(till)
    assert (await till.purse()).available == PAID


async def test_a_refund_that_failed_takes_nothing(till: Till, account: StripeAccount) -> None:
    subscription = await till.subscribe(tell=False)
    account.refund(subscription["latest_invoice"])["status"] = "failed"
    await look(till)
    assert (await till.purse()).available == PAID


async def test_a_dispute_takes_back_what_it_is_about(till: Till, account: StripeAccount) -> None:
    subscription = await till.subscribe()
    account.dispute(subscription["latest_invoice"], 1000)
    await look(till)
    assert (await till.purse()).available == 8_000_000


@pytest.mark.parametrize("is_heard_in_time", [True, False])
async def test_a_dispute_that_was_won_has_taken_nothing_whenever_it_is_heard_of(
    till: Till, account: StripeAccount, is_heard_in_time: bool
) -> None:
    subscription = await till.subscribe()
    dispute = account.dispute(subscription["latest_invoice"], 1000)
    if is_heard_in_time:
        await look(till)
        await spend(till, 3_000_000)
    dispute["status"] = "won"
    for _ in range(2):
        await till.subscriptions.sync(USER)
    assert (await till.purse()).available == (13_000_000 if is_heard_in_time else PAID)
    assert await till.ledger.verify() == []


async def test_a_dispute_won_after_its_period_gives_nothing_of_the_present_one(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    dispute = account.dispute(subscription["latest_invoice"])
    await look(till)
    account.renew(subscription["id"])
    await look(till)
    dispute["status"] = "won"
    await till.subscriptions.sync(USER)
    assert (await till.purse()).available == PAID


async def test_a_won_dispute_leaves_a_period_worth_what_a_period_is_worth(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    dispute = account.dispute(subscription["latest_invoice"], 1000)
    await look(till)
    dispute["status"] = "won"
    await till.subscriptions.sync(USER)
    status = await till.status()
    assert (status.credits_remaining, status.credits_total) == (PAID, PAID)


async def test_a_refund_after_a_won_dispute_takes_back_all_that_it_is_about(
    till: Till, account: StripeAccount
) -> None:
    subscription = await till.subscribe()
    dispute = account.dispute(subscription["latest_invoice"])
    await look(till)
    dispute["status"] = "won"
    await till.subscriptions.sync(USER)
    account.refund(subscription["latest_invoice"])
    await look(till)
    assert (await till.purse()).available == 0
    assert await till.ledger.verify() == []


async def test_a_mere_inquiry_takes_nothing(till: Till, account: StripeAccount) -> None:
    subscription = await till.subscribe()
    account.dispute(subscription["latest_invoice"], status="warning_needs_response")
    await look(till)
    assert (await till.purse()).available == PAID


async def test_an_invoice_of_nothing_by_a_promotion_code_grants(
    till: Till, account: StripeAccount
) -> None:
    subscription = account.complete_checkout(await till.page(), promotion=True)
    await look(till)
    assert account.latest_invoice(subscription["id"])["amount_paid"] == 0
    assert (await till.purse()).available == PAID


async def test_a_free_trial_grants_nothing_until_it_is_paid(
    till: Till, account: StripeAccount
) -> None:
    subscription = account.complete_checkout(await till.page(), trial=True)
    await look(till)
    assert ((await till.status()).subscription_status, (await till.purse()).available) == (
        "trialing",
        0,
    )
    account.renew(subscription["id"])
    await look(till)
    assert (await till.purse()).available == PAID


async def test_only_invoices_for_the_plan_grant(till: Till, account: StripeAccount) -> None:
    subscription = await till.subscribe()
    await spend(till, 1_000_000)
    account.now += 60
    account.bill_once(subscription["customer"])
    account.bill_proration(subscription["id"])
    account.subscribe(subscription["customer"], price_id=OTHER_PRICE)
    await look(till)
    assert (await till.purse()).available == 15_000_000
    assert PRICE != OTHER_PRICE


async def test_a_deleted_customer_has_nothing_left(till: Till, account: StripeAccount) -> None:
    subscription = await till.subscribe()
    account.delete_customer(subscription["customer"])
    await look(till)
    assert await till.store.customer_of(USER) is None
    assert (await till.purse()).available == 0
    assert (await till.status()).subscription_status == "none"
