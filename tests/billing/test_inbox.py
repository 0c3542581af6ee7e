"""Events are kept, applied, and marked; what fails is not lost."""

from __future__ import annotations

import asyncio
import copy
from datetime import timedelta

import pytest

from chuk.billing.events import concerns_us
from chuk.errors import NotFound
from tests.billing.till import OTHER_USER, USER, Till
from tests.fakes.stripe import Fault
from tests.fakes.stripe_objects import Object

PAID = 16_000_000


async def pending(till: Till) -> list[str]:
    """Ids of events that are kept and not applied."""
    later = till.fake.clock() + timedelta(days=1)
    return [event.id for event in await till.store.pending_events(later, 100)]


async def paid_event(till: Till) -> Object:
    """A subscription was bought; only the event of its invoice is of interest."""
    await till.subscribe(tell=False)
    (event,) = till.fake.account.events_of("invoice.paid")
    return event


async def test_an_event_grants_what_was_paid(till: Till) -> None:
    event = await paid_event(till)
    assert await till.answer(event) == 200
    assert (await till.purse()).available == PAID
    assert await pending(till) == []
    kept = await till.store.event(event["id"])
    assert kept is not None
    assert (kept.type, kept.object_id) == ("invoice.paid", event["data"]["object"]["id"])


async def test_a_repeat_does_nothing(till: Till) -> None:
    event = await paid_event(till)
    await till.hear(event)
    asked = len(till.fake.calls)
    assert await till.answer(event) == 200
    assert len(till.fake.calls) == asked
    assert (await till.purse()).available == PAID


async def test_the_same_event_ten_times_at_once_grants_once(till: Till) -> None:
    event = await paid_event(till)
    assert await asyncio.gather(*(till.answer(event) for _ in range(10))) == [200] * 10
    assert (await till.purse()).available == PAID
    assert await till.ledger.verify() == []


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.BROKEN, 502),
        (Fault.DOWN, 502),
        (Fault.NONSENSE, 502),
        (Fault.EMPTY, 502),
        (Fault.CUT, 502),
        (Fault.KEY, 502),
        (Fault.BUSY, 503),
        (Fault.INVALID, 503),
        (Fault.CARD, 503),
    ],
)
@pytest.mark.parametrize("path", ["/v1/customers/", "/v1/invoices", "/v1/subscriptions"])
async def test_what_fails_answers_5xx_and_is_applied_on_the_next_try(
    till: Till, fault: Fault, status: int, path: str
) -> None:
    event = await paid_event(till)
    till.fake.fail(fault, path, times=None)
    assert await till.answer(event) == status
    assert await pending(till) == [event["id"]]
    assert (await till.purse()).available == 0
    till.fake.mend()
    assert await till.answer(event) == 200
    assert await pending(till) == []
    assert (await till.purse()).available == PAID


async def test_what_fails_is_applied_by_the_reconciler(till: Till) -> None:
    event = await paid_event(till)
    till.fake.fail(Fault.BROKEN)
    await till.answer(event)
    assert await till.inbox.retry_pending() == (0, 0), "it is left to Stripe for a while"
    till.fake.account.now += 60
    till.fake.fail(Fault.BROKEN)
    assert await till.inbox.retry_pending() == (0, 1)
    assert await till.inbox.retry_pending() == (1, 0)
    assert (await till.purse()).available == PAID
    assert await till.inbox.retry_pending() == (0, 0)


async def test_an_event_that_was_kept_but_not_applied_is_applied_after_a_crash(till: Till) -> None:
    event = await paid_event(till)
    incoming = till.webhook.read(*till.fake.signed(event))
    await till.store.record_event(incoming.event)
    till.fake.account.now += 60
    assert await till.inbox.retry_pending() == (1, 0)
    assert (await till.purse()).available == PAID


async def test_events_that_say_nothing_to_us_are_kept_and_ignored(till: Till) -> None:
    await till.subscribe(tell=False)
    asked = len(till.fake.calls)
    for event in till.fake.account.events.values():
        if not concerns_us(event["type"]):
            assert await till.answer(event) == 200
            assert await till.store.event(event["id"]) is not None
    assert len(till.fake.calls) == asked
    assert await pending(till) == []


@pytest.mark.parametrize("foreign", [{"account": "acct_other"}, {"livemode": True}])
async def test_an_event_of_another_account_or_mode_changes_nothing(
    till: Till, foreign: Object
) -> None:
    event = await paid_event(till)
    asked = len(till.fake.calls)
    assert await till.answer({**event, **foreign}) == 200
    assert len(till.fake.calls) == asked
    assert (await till.purse()).available == 0
    assert await pending(till) == []


async def test_what_an_event_claims_is_never_believed(till: Till) -> None:
    event = copy.deepcopy(await paid_event(till))
    event["api_version"] = "2019-05-16"
    event["data"]["object"] = {
        "id": "in_made_up",
        "object": "invoice",
        "customer": event["data"]["object"]["customer"],
        "status": "paid",
        "lines": "nonsense",
    }
    await till.hear(event)
    assert (await till.purse()).available == PAID
    assert (await till.status()).subscription_status == "active"


async def test_an_event_of_an_unknown_customer_is_kept_and_done(till: Till) -> None:
    customer = till.fake.account.add_customer()
    till.fake.account.subscribe(customer["id"])
    await till.tell_the_rest(0)
    assert await pending(till) == []
    assert await till.store.user_of(customer["id"]) is None


async def test_a_customer_that_was_made_for_a_user_is_found_again(till: Till) -> None:
    customer = till.fake.account.add_customer({"user_id": str(USER)})
    till.fake.account.subscribe(customer["id"])
    await till.tell_the_rest(0)
    assert await till.store.customer_of(USER) == customer["id"]
    assert (await till.purse()).available == PAID


async def test_a_second_customer_of_a_user_is_not_mixed_with_the_first(till: Till) -> None:
    await till.subscribe()
    first = await till.store.customer_of(USER)
    second = till.fake.account.add_customer({"user_id": str(USER)})
    till.fake.account.subscribe(second["id"])
    await till.tell_the_rest(0)
    assert await till.store.customer_of(USER) == first
    assert await till.store.user_of(second["id"]) is None


async def test_events_of_an_account_under_deletion_are_done_and_change_nothing(till: Till) -> None:
    event = await paid_event(till)
    await till.deletions.begin(USER)
    assert await till.answer(event) == 200
    assert await till.store.subscription(USER) is None
    assert await pending(till) == []


async def test_events_of_an_erased_customer_are_done(till: Till) -> None:
    await till.subscribe()
    await till.deletions.begin(USER)
    await till.erasure.run(USER)
    await till.tell_the_rest(0)
    assert await pending(till) == []
    assert await till.store.customer_of(USER) is None


async def test_a_dispute_finds_its_customer_by_its_charge(till: Till) -> None:
    subscription = await till.subscribe()
    till.fake.account.dispute(subscription["latest_invoice"])
    (event,) = till.fake.account.events_of("charge.dispute.created")
    assert "customer" not in event["data"]["object"]
    await till.hear(event)
    assert (await till.purse()).available == 0


async def test_a_dispute_that_stripe_does_not_know_is_done(till: Till) -> None:
    subscription = await till.subscribe()
    till.fake.account.dispute(subscription["latest_invoice"])
    till.fake.account.disputes.clear()
    (event,) = till.fake.account.events_of("charge.dispute.created")
    assert await till.answer(event) == 200


async def test_replay_applies_an_event_again_and_fetches_an_unknown_one(till: Till) -> None:
    event = await paid_event(till)
    await till.inbox.replay(event["id"])
    assert (await till.purse()).available == PAID
    await till.inbox.replay(event["id"])
    assert (await till.purse()).available == PAID
    with pytest.raises(NotFound):
        await till.inbox.replay("evt_nobody_knows")


async def test_events_of_two_customers_do_not_wait_for_each_other(till: Till) -> None:
    await till.subscribe(tell=False)
    await till.subscribe(OTHER_USER, tell=False)
    first, second = till.fake.account.events_of("invoice.paid")
    gate = till.fake.hold("/v1/customers/")
    waiting = asyncio.create_task(till.answer(first))
    await gate.reached.wait()
    assert await till.answer(second) == 200
    gate.open()
    assert await waiting == 200
    assert (await till.purse(USER)).available == (await till.purse(OTHER_USER)).available == PAID


async def test_a_dispute_is_replayed_although_its_charge_is_not_kept(till: Till) -> None:
    subscription = await till.subscribe()
    till.fake.account.dispute(subscription["latest_invoice"], 1000)
    (event,) = till.fake.account.events_of("charge.dispute.created")
    await till.hear(event)
    before = len(till.fake.calls)
    await till.inbox.replay(event["id"])
    asked = [call.path for call in till.fake.calls[before:]]
    assert f"/v1/customers/{subscription['customer']}" in asked
