"""Two that look at one customer at once: the older state never stays behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from chuk.errors import ServiceUnavailable
from tests.billing.till import USER, Till, open_till
from tests.fakes.stripe import Fault

PAID = 16_000_000
SUBSCRIPTIONS = "/v1/subscriptions"


async def test_in_one_process_they_look_one_after_the_other(till: Till) -> None:
    subscription = await till.subscribe()
    till.fake.account.set_status(subscription["id"], "past_due")
    gate = till.fake.hold(SUBSCRIPTIONS)
    first = asyncio.create_task(till.tell(till.fake.account.events_of("invoice.voided")))
    second = asyncio.create_task(till.subscriptions.sync(USER))
    await gate.reached.wait()
    till.fake.account.cancel(subscription["id"], at_period_end=True)
    (event,) = till.fake.account.events_of("customer.subscription.updated")[-1:]
    third = asyncio.create_task(till.hear(event))
    gate.open()
    await asyncio.gather(first, second, third)
    assert (await till.status()).cancel_at_period_end is True


async def test_a_slow_process_does_not_leave_an_older_state_behind(
    till: Till, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    subscription = await till.subscribe()
    account = till.fake.account
    async with open_till(till.fake, session, tmp_path) as another:
        account.set_status(subscription["id"], "past_due")
        gate = till.fake.hold(SUBSCRIPTIONS)
        slow = asyncio.create_task(till.subscriptions.sync(USER))
        await gate.reached.wait()  # it has read past_due
        account.set_status(subscription["id"], "active")
        account.cancel(subscription["id"], at_period_end=True)
        await another.subscriptions.sync(USER)
        assert (await till.status()).subscription_status == "active"
        gate.open()
        await slow
    status = await till.status()
    assert (status.subscription_status, status.cancel_at_period_end) == ("active", True)


async def test_a_renewal_that_two_processes_see_is_granted_once(
    till: Till, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    subscription = await till.subscribe()
    till.fake.account.renew(subscription["id"])
    async with open_till(till.fake, session, tmp_path) as another:
        await asyncio.gather(
            *(each.subscriptions.sync(USER) for each in (till, another) for _ in range(3))
        )
    assert (await till.purse()).available == PAID
    assert await till.ledger.verify() == []


async def test_a_late_end_does_not_take_what_was_bought_since(
    till: Till, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    old = await till.subscribe()
    account = till.fake.account
    account.cancel(old["id"])
    async with open_till(till.fake, session, tmp_path) as another:
        gate = till.fake.hold("/v1/invoices")
        slow = asyncio.create_task(till.subscriptions.sync(USER))
        await gate.reached.wait()  # it has read that the old one ended, and of no new one
        account.now += 3600
        account.subscribe(old["customer"])
        await another.subscriptions.sync(USER)
        gate.open()
        await slow
    assert (await till.purse()).available == PAID
    assert (await till.status()).subscription_status == "active"


async def test_what_stopped_between_writing_and_looking_again_is_done_again(till: Till) -> None:
    await till.subscribe(tell=False)
    (event,) = till.fake.account.events_of("invoice.paid")
    gate = till.fake.hold(SUBSCRIPTIONS)
    hearing = asyncio.create_task(till.answer(event))
    await gate.reached.wait()
    till.fake.fail(Fault.BROKEN, SUBSCRIPTIONS)
    gate.open()
    assert await hearing == 502
    assert await till.answer(event) == 200
    assert (await till.purse()).available == PAID


async def test_a_state_that_never_holds_still_is_left_to_later(till: Till) -> None:
    subscription = await till.subscribe()
    statuses = ["past_due", "unpaid"]

    async def change_after_each_answer() -> None:
        while True:
            statuses.reverse()
            till.fake.account.set_status(subscription["id"], statuses[0])
            gate = till.fake.hold(SUBSCRIPTIONS)
            await gate.reached.wait()
            gate.open()

    changing = asyncio.create_task(change_after_each_answer())
    with pytest.raises(ServiceUnavailable):
        await till.subscriptions.sync(USER)
    changing.cancel()
    till.fake.let_go()
    await till.subscriptions.sync(USER)
    assert (await till.status()).subscription_status == statuses[0]


async def test_a_hearing_that_is_cut_short_stays_pending_and_frees_the_customer(
    till: Till,
) -> None:
    await till.subscribe(tell=False)
    (event,) = till.fake.account.events_of("invoice.paid")
    gate = till.fake.hold(SUBSCRIPTIONS)
    hearing = asyncio.create_task(till.hear(event))
    await gate.reached.wait()
    hearing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hearing
    gate.open()
    till.fake.account.now += 60
    assert await till.inbox.retry_pending() == (1, 0)
    assert (await till.purse()).available == PAID
