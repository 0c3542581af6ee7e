"""What an account's deletion does at Stripe."""

from __future__ import annotations

from uuid import UUID

from chuk.billing.ports import BillingStore, PaymentProvider
from chuk.billing.subscriptions import Subscriptions


class SubscriptionErasure:
    """Ends the subscription and deletes the customer; a `DeletionStep`.

    The invoices stay at Stripe, as tax law asks. Also customers that our records do not know are
    found, by the user's id that every customer of ours carries.
    """

    name = "subscription"

    def __init__(
        self, store: BillingStore, provider: PaymentProvider, subscriptions: Subscriptions
    ) -> None:
        self._store = store
        self._provider = provider
        self._subscriptions = subscriptions

    async def run(self, user_id: UUID) -> None:
        """See `DeletionStep.run`."""
        known = await self._store.customer_of(user_id)
        if known is not None:
            await self._subscriptions.erase(known)
        for customer_id in await self._provider.customers_made_for(user_id):
            if customer_id != known:
                await self._subscriptions.erase(customer_id)
