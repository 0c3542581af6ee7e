"""Puts billing together from the settings: for the server, and for the commands."""

from __future__ import annotations

import aiohttp

from chuk.accounts.ports import DeletionStore
from chuk.adapters.stripe import Stripe
from chuk.adapters.stripe_client import StripeClient, is_live
from chuk.adapters.stripe_webhook import StripeWebhook
from chuk.billing.checkout import CheckoutTerms
from chuk.billing.ports import BillingStore
from chuk.billing.service import Billing, make_billing
from chuk.credits.money import micro_euro_ceiling
from chuk.credits.ports import LedgerStore
from chuk.settings import Settings


def stripe_billing(
    settings: Settings,
    session: aiohttp.ClientSession,
    *,
    store: BillingStore,
    ledger: LedgerStore,
    deletions: DeletionStore,
) -> Billing | None:
    """Billing with Stripe; None where no key is set. Nothing runs yet."""
    stripe = settings.stripe
    if not stripe.secret_key:
        return None
    client = StripeClient(
        session, secret_key=stripe.secret_key, base_url=stripe.api_base, timeout=stripe.timeout
    )
    provider = Stripe(client, price_id=stripe.price_id, is_live=is_live(stripe.secret_key))
    return make_billing(
        store,
        ledger,
        deletions,
        provider,
        terms=CheckoutTerms(
            stripe.price_id,
            promotion_codes=stripe.promotion_codes,
            automatic_tax=stripe.automatic_tax,
        ),
        credits_per_period=micro_euro_ceiling(settings.plan.credits),
        reconcile_interval=stripe.reconcile_interval,
    )


def stripe_webhook(settings: Settings) -> StripeWebhook | None:
    """What reads the events of Stripe; None where no key is set."""
    stripe = settings.stripe
    if not stripe.secret_key:
        return None
    return StripeWebhook(stripe.webhook_secret, is_live=is_live(stripe.secret_key))
