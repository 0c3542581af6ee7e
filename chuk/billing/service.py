"""All of billing, put together over its stores and the payment provider."""

from __future__ import annotations

from dataclasses import dataclass

from chuk.accounts.ports import DeletionStore
from chuk.billing.checkout import Checkout, CheckoutTerms
from chuk.billing.erasure import SubscriptionErasure
from chuk.billing.grants import Grants
from chuk.billing.inbox import Inbox
from chuk.billing.ports import BillingStore, PaymentProvider
from chuk.billing.reconcile import BillingReconciler, Reconciliation
from chuk.billing.subscriptions import Subscriptions
from chuk.clock import Clock, utc_now
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from chuk.leadership import ALONE, Leadership


@dataclass(frozen=True, slots=True)
class Billing:
    """The services of billing.

    Attributes:
        erasure: what an account's deletion does at Stripe.
        reconciler: started and closed with the application.
    """

    subscriptions: Subscriptions
    inbox: Inbox
    checkout: Checkout
    reconciliation: Reconciliation
    reconciler: BillingReconciler
    erasure: SubscriptionErasure


def make_billing(
    store: BillingStore,
    ledger: LedgerStore,
    deletions: DeletionStore,
    provider: PaymentProvider,
    *,
    terms: CheckoutTerms,
    credits_per_period: MicroEuro,
    reconcile_interval: float,
    leadership: Leadership = ALONE,
    clock: Clock = utc_now,
) -> Billing:
    """Put billing together; nothing runs yet.

    Args:
        terms: what the checkout sells.
        credits_per_period: what each paid period is worth.
        reconcile_interval: seconds between comparisons of every customer.
        leadership: who compares.
    """
    subscriptions = Subscriptions(store, provider, Grants(ledger, credits_per_period), deletions)
    inbox = Inbox(store, provider, subscriptions, clock=clock)
    reconciliation = Reconciliation(store, provider, subscriptions)
    return Billing(
        subscriptions=subscriptions,
        inbox=inbox,
        checkout=Checkout(store, provider, subscriptions, terms, clock=clock),
        reconciliation=reconciliation,
        reconciler=BillingReconciler(
            inbox, reconciliation, interval=reconcile_interval, leadership=leadership
        ),
        erasure=SubscriptionErasure(store, provider, subscriptions),
    )
