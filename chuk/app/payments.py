"""Stripe, where its key is set: the provider, billing on top of it, and the webhook's reader."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from chuk.adapters.stripe import Stripe
from chuk.adapters.stripe_client import StripeClient, is_live
from chuk.adapters.stripe_webhook import StripeWebhook
from chuk.app.parts import Part
from chuk.billing.checkout import CheckoutTerms
from chuk.billing.service import Billing, make_billing
from chuk.books import Books
from chuk.credits.money import micro_euro_ceiling
from chuk.leadership import ALONE, Leadership
from chuk.settings import Settings


@dataclass(frozen=True, slots=True)
class Payments:
    """What the routes, the deletion and the doctor need of it."""

    billing: Billing
    reader: StripeWebhook
    part: Part


def is_billing_on(settings: Settings) -> bool:
    """Whether payments are configured."""
    return bool(settings.stripe.secret_key)


def make_payments(
    settings: Settings,
    session: aiohttp.ClientSession,
    books: Books,
    leadership: Leadership = ALONE,
) -> Payments:
    """Put billing together over these books; nothing runs yet."""
    stripe = settings.stripe
    live = is_live(stripe.secret_key)
    client = StripeClient(
        session,
        secret_key=stripe.secret_key,
        base_url=stripe.api_base,
        timeout=stripe.timeout,
    )
    provider = Stripe(client, price_id=stripe.price_id, is_live=live)
    billing = make_billing(
        books.billing,
        books.ledger,
        books.deletions,
        provider,
        terms=CheckoutTerms(
            stripe.price_id,
            promotion_codes=stripe.promotion_codes,
            automatic_tax=stripe.automatic_tax,
        ),
        credits_per_period=micro_euro_ceiling(settings.plan.credits),
        reconcile_interval=stripe.reconcile_interval,
        leadership=leadership,
    )

    async def price() -> str:
        found = await client.get(f"/v1/prices/{stripe.price_id}")
        return f"price {stripe.price_id} is {'active' if found.get('active') else 'not active'}"

    part = Part("billing", f"Stripe at {stripe.api_base}", price)
    return Payments(billing, StripeWebhook(stripe.webhook_secret, is_live=live), part)
