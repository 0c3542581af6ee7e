"""Billing over a real store and a stand-in for Stripe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import aiohttp

from chuk.accounts.ports import DeletionStore
from chuk.adapters.sqlite.billing import SqliteBilling
from chuk.adapters.sqlite.database import FILE_NAME, Database
from chuk.adapters.sqlite.deletions import SqliteDeletions
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.adapters.stripe import Stripe
from chuk.adapters.stripe_client import StripeClient
from chuk.adapters.stripe_webhook import StripeWebhook
from chuk.adapters.supabase.books import open_supabase_books
from chuk.billing.checkout import Checkout, CheckoutTerms
from chuk.billing.erasure import SubscriptionErasure
from chuk.billing.inbox import Inbox
from chuk.billing.ports import BillingStore
from chuk.billing.reconcile import Reconciliation
from chuk.billing.service import make_billing
from chuk.billing.status import Status, StatusDesk
from chuk.billing.subscriptions import Subscriptions
from chuk.credits.ledger import Purse
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from chuk.errors import ChukError
from tests.fakes.stripe import PRICE, FakeStripe
from tests.fakes.stripe_objects import Object
from tests.fakes.supabase_project import FakeSupabaseProject

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
    store: BillingStore
    ledger: LedgerStore
    deletions: DeletionStore
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


def till_over(
    fake: FakeStripe,
    session: aiohttp.ClientSession,
    *,
    store: BillingStore,
    ledger: LedgerStore,
    deletions: DeletionStore,
    promotion_codes: bool = False,
    automatic_tax: bool = False,
) -> Till:
    """A process of its own over these stores."""
    client = StripeClient(
        session,
        secret_key=fake.secret_key,
        base_url=fake.base_url,
        timeout=10,
        retries=0,
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
    return Till(
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


@asynccontextmanager
async def open_till(
    fake: FakeStripe,
    session: aiohttp.ClientSession,
    folder: Path,
    **options: bool,
) -> AsyncIterator[Till]:
    """A process over SQLite; several may share the folder, as several processes would."""
    database = await Database.open(folder / FILE_NAME, fake.clock)
    try:
        yield till_over(
            fake,
            session,
            store=SqliteBilling(database, clock=fake.clock),
            ledger=SqliteLedger(database, free_messages=10, clock=fake.clock),
            deletions=SqliteDeletions(database, clock=fake.clock),
            **options,
        )
    finally:
        await database.close()


@asynccontextmanager
async def open_supabase_till(
    fake: FakeStripe, session: aiohttp.ClientSession, project: FakeSupabaseProject
) -> AsyncIterator[Till]:
    """A process over a Supabase project, which several may share as well."""
    books = open_supabase_books(
        url=project.url,
        service_role_key=project.service_role_key,
        timeout=20,
        free_messages=10,
        clock=fake.clock,
    )
    try:
        yield till_over(
            fake, session, store=books.billing, ledger=books.ledger, deletions=books.deletions
        )
    finally:
        await books.close()
