"""Billing over a real SQLite store and a stand-in for Stripe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import aiohttp

from chuk.adapters.sqlite.billing import SqliteBilling
from chuk.adapters.sqlite.database import Database
from chuk.adapters.sqlite.deletions import SqliteDeletions
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.adapters.stripe import Stripe
from chuk.adapters.stripe_client import StripeClient
from chuk.adapters.stripe_webhook import StripeWebhook
from chuk.billing.checkout import Checkout, CheckoutTerms
from chuk.billing.erasure import SubscriptionErasure
from chuk.billing.inbox import Inbox
from chuk.billing.reconcile import Reconciliation
from chuk.billing.service import make_billing
from chuk.billing.status import Status, StatusDesk
from chuk.billing.subscriptions import Subscriptions
from chuk.credits.ledger import Purse
from chuk.credits.money import MicroEuro
from chuk.errors import ChukError
from tests.fakes.stripe import PRICE, FakeStripe
from tests.fakes.stripe_objects import Object

USER = UUID("aaaaaaaa-0000-4000-8000-000000000001")
OTHER_USER = UUID("aaaaaaaa-0000-4000-8000-000000000002")
APP = "https://app.chuk.test"
CREDITS = MicroEuro(16_000_000)


async def no_wait(_seconds: float) -> None:
    """Between attempts of a call, when a test has no time."""
    await asyncio.sleep(0)


@dataclass
class Till:
    """One process that bills.

    Attributes:
        fake: the Stripe that it talks to.
    """

    fake: FakeStripe
    store: SqliteBilling
    ledger: SqliteLedger
    deletions: SqliteDeletions
    provider: Stripe
    webhook: StripeWebhook
    subscriptions: Subscriptions
    inbox: Inbox
    checkout: Checkout
    reconciliation: Reconciliation
    erasure: SubscriptionErasure
    desk: StatusDesk

    async def page(self, user: UUID = USER) -> str:
        """Start a checkout; returns the id of its page."""
        url = await self.checkout.start(user, APP)
        return url.rpartition("/")[2]

    async def subscribe(self, user: UUID = USER, *, tell: bool = True) -> Object:
        """Start a checkout and complete it; `tell`: its events arrive, in order."""
        before = len(self.fake.account.events)
        subscription = self.fake.account.complete_checkout(await self.page(user))
        if tell:
            await self.tell(list(self.fake.account.events.values())[before:])
        return subscription

    async def tell(self, events: Iterable[Object]) -> None:
        """Deliver events one after the other, each signed and read as bytes."""
        for event in events:
            await self.hear(event)

    async def hear(self, event: Object) -> None:
        """Deliver one event."""
        await self.inbox.receive(self.webhook.read(*self.fake.signed(event)))

    async def answer(self, event: Object) -> int:
        """Deliver one event; returns the status that Stripe would see."""
        try:
            await self.hear(event)
        except ChukError as error:
            return error.status
        return 200

    async def tell_the_rest(self, since: int) -> None:
        """Deliver all events after that many."""
        await self.tell(list(self.fake.account.events.values())[since:])

    async def purse(self, user: UUID = USER) -> Purse:
        return await self.ledger.purse(user)

    async def status(self, user: UUID = USER) -> Status:
        return await self.desk.status_of(user)


@asynccontextmanager
async def open_till(
    fake: FakeStripe,
    session: aiohttp.ClientSession,
    folder: Path,
    *,
    promotion_codes: bool = False,
    automatic_tax: bool = False,
    timeout: float = 10.0,
    retries: int = 0,
) -> AsyncIterator[Till]:
    """A process of its own; several may share the folder, as several processes would."""
    database = await Database.open(folder / "chuk.sqlite3", fake.clock)
    store = SqliteBilling(database, clock=fake.clock)
    ledger = SqliteLedger(database, free_messages=10, clock=fake.clock)
    deletions = SqliteDeletions(database, clock=fake.clock)
    client = StripeClient(
        session,
        secret_key=fake.secret_key,
        base_url=fake.base_url,
        timeout=timeout,
        retries=retries,
        sleep=no_wait,
    )
    provider = Stripe(client, price_id=PRICE, is_live=False, clock=fake.clock)
    billing = make_billing(
        store,
        ledger,
        deletions,
        provider,
        terms=CheckoutTerms(PRICE, promotion_codes=promotion_codes, automatic_tax=automatic_tax),
        credits_per_period=CREDITS,
        reconcile_interval=3600,
        clock=fake.clock,
    )
    till = Till(
        fake=fake,
        store=store,
        ledger=ledger,
        deletions=deletions,
        provider=provider,
        webhook=StripeWebhook(fake.webhook_secret, is_live=False, clock=fake.clock),
        subscriptions=billing.subscriptions,
        inbox=billing.inbox,
        checkout=billing.checkout,
        reconciliation=billing.reconciliation,
        erasure=billing.erasure,
        desk=StatusDesk(store, ledger, plan="pro"),
    )
    try:
        yield till
    finally:
        await database.close()
