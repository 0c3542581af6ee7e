"""A whole life, its events twice, late, shuffled and at once: always the same books.

Each example lives the same life twice. One till hears every event at once and in order. The
other hears them as badly as hypothesis likes: some only at the end, several times, in any order,
at the same moment, with Stripe failing in between, and with syncs and a second process. In the
end Stripe is mended and sends all that was not answered with 200 again, as it does for days.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chuk.credits.money import MicroEuro
from tests.billing.till import USER, Till, open_till
from tests.fakes.stripe import FakeStripe, Fault
from tests.fakes.stripe_account import StripeAccount

_START = 1_767_225_600
_STEPS = (
    "subscribe",
    "renew",
    "renew_unpaid",
    "pay",
    "void",
    "cancel",
    "cancel_later",
    "refund_part",
    "refund",
    "dispute",
    "one_off",
    "unpaid",
)
_FAULTS = (Fault.BROKEN, Fault.BUSY, Fault.NONSENSE, Fault.LOST, Fault.CUT)

lives = st.lists(st.sampled_from(_STEPS), max_size=8).map(lambda steps: ["subscribe", *steps])


class Life:
    """Turns the name of a step into what happens at Stripe; what makes no sense is passed over."""

    def __init__(self, account: StripeAccount, customer_id: str) -> None:
        self.account = account
        self.customer_id = customer_id

    def step(self, name: str) -> None:
        self.account.now += 60
        living = [each for each in self._subscriptions() if each["status"] != "canceled"]
        if name == "subscribe":
            if not living:
                self.account.subscribe(self.customer_id)
        elif name == "one_off":
            self.account.bill_once(self.customer_id)
        elif living:
            self._of_a_subscription(name, living[-1])

    def _of_a_subscription(self, name: str, subscription: dict[str, Any]) -> None:
        account, sub = self.account, subscription["id"]
        invoice = account.latest_invoice(sub)
        if name in ("renew", "renew_unpaid"):
            account.renew(sub, pays=name == "renew")
        elif name == "cancel":
            account.cancel(sub)
        elif name == "cancel_later":
            account.cancel(sub, at_period_end=True)
        elif name == "unpaid":
            account.set_status(sub, "unpaid")
        elif name in ("pay", "void"):
            if invoice["status"] == "open":
                getattr(account, name)(invoice["id"])
        elif invoice["status"] == "paid":
            self._of_a_payment(name, invoice["id"])

    def _of_a_payment(self, name: str, invoice_id: str) -> None:
        charge = self.account.charge_of(invoice_id)
        left = charge["amount"] - charge["amount_refunded"]
        if name == "dispute" and not charge["disputed"]:
            self.account.dispute(invoice_id, 500)
        elif name == "refund_part" and left >= 500:
            self.account.refund(invoice_id, 500)
        elif name == "refund" and left:
            self.account.refund(invoice_id)

    def _subscriptions(self) -> list[dict[str, Any]]:
        return list(self.account.subscriptions.values())


async def lived_in_order(till: Till, steps: list[str]) -> None:
    """Every event is heard as soon as it happens."""
    life = await born(till)
    heard = 0
    for name in steps:
        life.step(name)
        await till.tell_the_rest(heard)
        heard = len(till.fake.account.events)


async def lived_badly(till: Till, another: Till, steps: list[str], chance: random.Random) -> None:
    """Events come as they like; what was not answered with 200 comes again in the end."""
    life = await born(till)
    fake = till.fake
    waiting: list[dict[str, Any]] = []
    unanswered: list[dict[str, Any]] = []
    for name in steps:
        before = len(fake.account.events)
        life.step(name)
        waiting += list(fake.account.events.values())[before:] * chance.choice((1, 1, 2, 3))
        chance.shuffle(waiting)
        now, waiting = waiting[: len(waiting) // 2], waiting[len(waiting) // 2 :]
        if chance.random() < 0.3:
            fake.fail(chance.choice(_FAULTS), times=chance.randint(1, 4))
        tills = [chance.choice((till, another)) for _ in now]
        statuses = await asyncio.gather(
            *(each.answer(event) for each, event in zip(tills, now, strict=True))
        )
        unanswered += [event for event, status in zip(now, statuses, strict=True) if status != 200]
        fake.mend()
        if chance.random() < 0.2:
            await till.subscriptions.sync(USER)
    waiting += unanswered
    chance.shuffle(waiting)
    statuses = await asyncio.gather(
        *(chance.choice((till, another)).answer(event) for event in waiting)
    )
    assert set(statuses) <= {200}
    fake.account.now += 60
    await till.inbox.retry_pending()


async def born(till: Till) -> Life:
    """A customer of ours who has not subscribed yet."""
    till.fake.account.now = _START
    await till.page()
    customer_id = await till.store.customer_of(USER)
    assert customer_id is not None
    return Life(till.fake.account, customer_id)


async def books(till: Till) -> dict[str, Any]:
    """All that the user has in the end."""
    assert await till.ledger.verify() == []
    purse = await till.purse()
    subscription = await till.store.subscription(USER)
    assert subscription is not None
    return {
        "available": purse.available,
        "held": purse.held,
        "subscription": (
            subscription.status,
            subscription.current_period_end,
            subscription.cancel_at_period_end,
        ),
        # A grant that is there answers False; one that is not would be made now.
        "ungranted": [
            invoice["id"]
            for invoice in till.fake.account.invoices.values()
            if invoice["status"] == "paid"
            and invoice["billing_reason"] != "manual"
            and await till.ledger.grant(USER, MicroEuro(1), f"invoice:{invoice['id']}")
        ],
    }


async def both_lives(steps: list[str], seed: int) -> None:
    chance = random.Random(seed)
    ends = []
    async with aiohttp.ClientSession() as session:
        for badly in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                async with FakeStripe() as fake, open_till(fake, session, Path(folder)) as till:
                    if badly:
                        async with open_till(fake, session, Path(folder)) as another:
                            await lived_badly(till, another, steps, chance)
                    else:
                        await lived_in_order(till, steps)
                    ends.append(await books(till))
    assert ends[1] == ends[0]
    assert ends[0]["ungranted"] == []


@settings(max_examples=10, deadline=None)
@given(steps=lives, seed=st.integers(0, 2**32))
def test_the_books_end_the_same_however_the_events_come(steps: list[str], seed: int) -> None:
    asyncio.run(both_lives(steps, seed))


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=300, deadline=None)
@given(steps=lives, seed=st.integers(0, 2**32))
def test_the_books_end_the_same_in_very_many_lives(steps: list[str], seed: int) -> None:
    asyncio.run(both_lives(steps, seed))
