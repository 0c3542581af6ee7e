"""What no event has told is found and mended; or only told, when one only looks."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from chuk.billing.reconcile import BillingReconciler
from chuk.errors import ProviderError
from tests.billing.till import OTHER_USER, USER, Till
from tests.fakes.stripe import Fault
from tests.leaders import Elected
from tests.services.catalogs import Waits

PAID = 16_000_000


async def test_what_no_event_told_is_mended(till: Till) -> None:
    await till.subscribe(tell=False)
    await till.subscribe(OTHER_USER)
    customer = await till.store.customer_of(USER)
    report = await till.reconciliation.run()
    assert list(report.differences) == [customer]
    assert report.customers == 2
    assert report.failures == {}
    assert (await till.purse()).available == PAID
    again = await till.reconciliation.run()
    assert (again.customers, again.differences) == (2, {})


async def test_a_dry_run_tells_and_changes_nothing(till: Till) -> None:
    await till.subscribe(tell=False)
    customer = await till.store.customer_of(USER)
    report = await till.reconciliation.run(dry_run=True)
    assert report.differences == {customer: ("subscription", "credits")}
    assert await till.store.subscription(USER) is None
    assert (await till.purse()).available == 0


async def test_a_missed_renewal_cancellation_and_deletion_are_told(till: Till) -> None:
    account = till.fake.account
    renewed = await till.subscribe()
    account.renew(renewed["id"])
    cancelled = await till.subscribe(OTHER_USER)
    account.cancel(cancelled["id"])
    report = await till.reconciliation.run(dry_run=True)
    assert report.differences == {
        renewed["customer"]: ("subscription", "credits"),
        cancelled["customer"]: ("subscription",),
    }
    account.delete_customer(renewed["customer"])
    report = await till.reconciliation.run(dry_run=True)
    assert report.differences[renewed["customer"]] == ("is gone from Stripe",)
    await till.reconciliation.run()
    assert await till.store.customer_of(USER) is None
    assert (await till.purse(USER)).available == (await till.purse(OTHER_USER)).available == 0
    assert (await till.reconciliation.run(dry_run=True)).differences == {}


async def test_a_customer_that_our_records_lost_is_tied_again(till: Till) -> None:
    customer = till.fake.account.add_customer({"user_id": str(USER)})
    till.fake.account.subscribe(customer["id"])
    stranger = till.fake.account.add_customer()
    report = await till.reconciliation.run(dry_run=True)
    assert report.differences == {customer["id"]: ("is not known here",)}
    report = await till.reconciliation.run()
    assert report.customers == 2
    assert report.differences[customer["id"]][0] == "linked"
    assert stranger["id"] not in report.differences
    assert await till.store.customer_of(USER) == customer["id"]
    assert (await till.purse()).available == PAID


async def test_more_customers_than_one_page_holds_are_all_seen_once(till: Till) -> None:
    for _ in range(205):
        till.fake.account.add_customer()
    report = await till.reconciliation.run(dry_run=True)
    assert report.customers == 205


async def test_one_customer_that_fails_does_not_keep_the_others_from_being_mended(
    till: Till,
) -> None:
    first = await till.subscribe(tell=False)
    second = await till.subscribe(OTHER_USER, tell=False)
    till.fake.fail(Fault.BROKEN, f"/v1/customers/{second['customer']}")
    report = await till.reconciliation.run()
    assert report.failures == {second["customer"]: "ProviderError"}
    assert list(report.differences) == [first["customer"]]
    assert (await till.reconciliation.run()).failures == {}
    assert (await till.purse(OTHER_USER)).available == PAID


async def test_a_list_that_cannot_be_had_is_an_error(till: Till) -> None:
    till.fake.fail(Fault.BROKEN, "/v1/customers")
    with pytest.raises(ProviderError):
        await till.reconciliation.run()


async def test_an_account_under_deletion_is_left_alone(till: Till) -> None:
    await till.subscribe(tell=False)
    await till.deletions.begin(USER)
    assert (await till.reconciliation.run()).differences == {}
    assert await till.store.subscription(USER) is None


async def test_in_the_background_it_retries_often_and_compares_at_intervals(till: Till) -> None:
    waits = Waits()
    reconciler = BillingReconciler(
        till.inbox, till.reconciliation, interval=60, retry_interval=30, sleep=waits
    )
    await reconciler.start()
    compared = []
    for _ in range(6):
        assert await waits.next() == 30
        compared.append(len([call for call in till.fake.calls if call.path == "/v1/customers"]))
        waits.end()
    await reconciler.close()
    assert compared == [0, 1, 1, 2, 2, 3]


async def test_what_a_crash_left_pending_is_applied_at_the_start(till: Till) -> None:
    await till.subscribe(tell=False)
    (event,) = till.fake.account.events_of("invoice.paid")
    await till.store.record_event(till.webhook.read(*till.fake.signed(event)).event)
    till.fake.account.now += 1
    waits = Waits()
    reconciler = BillingReconciler(till.inbox, till.reconciliation, interval=60, sleep=waits)
    await reconciler.start()
    await waits.next()
    await reconciler.close()
    assert (await till.purse()).available == PAID


async def test_a_follower_leaves_both_to_the_leader_until_it_leads(till: Till) -> None:
    await till.subscribe(tell=False)
    (event,) = till.fake.account.events_of("invoice.paid")
    await till.store.record_event(till.webhook.read(*till.fake.signed(event)).event)
    waits, leadership = Waits(), Elected()
    reconciler = BillingReconciler(
        till.inbox, till.reconciliation, interval=30, sleep=waits, leadership=leadership
    )
    asked = len(till.fake.calls)
    await reconciler.start()
    for _ in range(3):
        await waits.next()
        waits.end()
    await waits.next()
    assert len(till.fake.calls) == asked
    leadership.leads = True
    waits.end()
    await waits.next()
    await reconciler.close()
    assert (await till.purse()).available == PAID


async def test_who_leads_later_leaves_the_newest_events_to_who_received_them(till: Till) -> None:
    await till.subscribe(tell=False)
    (event,) = till.fake.account.events_of("invoice.paid")
    waits, leadership = Waits(), Elected()
    reconciler = BillingReconciler(
        till.inbox,
        till.reconciliation,
        interval=3_600,
        retry_interval=30,
        sleep=waits,
        leadership=leadership,
    )
    await reconciler.start()
    await waits.next()
    await till.store.record_event(till.webhook.read(*till.fake.signed(event)).event)
    leadership.leads = True
    waits.end()
    await waits.next()
    later = till.fake.clock() + timedelta(days=1)
    assert len(await till.store.pending_events(later, 10)) == 1
    till.fake.account.now += 60
    waits.end()
    await waits.next()
    await reconciler.close()
    assert await till.store.pending_events(later, 10) == []


async def test_in_the_background_it_outlives_every_failure(till: Till) -> None:
    subscription = await till.subscribe(tell=False)
    (event,) = till.fake.account.events_of("invoice.paid")
    till.fake.fail(Fault.BROKEN, times=None)
    await till.answer(event)
    till.fake.account.now += 60
    waits = Waits()
    reconciler = BillingReconciler(till.inbox, till.reconciliation, interval=30, sleep=waits)
    await reconciler.start()
    await waits.next()
    assert (await till.purse()).available == 0
    till.fake.mend()
    waits.end()
    await waits.next()
    await reconciler.close()
    await reconciler.close()
    assert (await till.purse()).available == PAID
    saved = await till.store.subscription(USER)
    assert saved is not None
    assert saved.id == subscription["id"]


async def test_closing_it_in_the_middle_leaves_nothing_running(till: Till) -> None:
    await till.subscribe(tell=False)
    gate = till.fake.hold("/v1/customers")
    waits = Waits()
    reconciler = BillingReconciler(till.inbox, till.reconciliation, interval=30, sleep=waits)
    await reconciler.start()
    await waits.next()
    waits.end()
    async with asyncio.timeout(30):
        await gate.reached.wait()
    await reconciler.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "billing"]
