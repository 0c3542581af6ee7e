"""What an account's deletion does at Stripe."""

from __future__ import annotations

from uuid import UUID

from chuk.billing.ports import BillingStore, PaymentProvider
from chuk.billing.subscriptions import Subscriptions
from chuk.errors import FeatureDisabled


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


class UnreachableSubscription:
    """The same step where billing is switched off: what may go on charging is not forgotten."""

    name = "subscription"

    def __init__(self, store: BillingStore) -> None:
        self._store = store

    async def run(self, user_id: UUID) -> None:
        """Done for whoever was never a customer.

        Raises:
            FeatureDisabled: there is a customer, and nobody to delete it with; once billing is
                on again, the deletion goes on.
        """
        if await self._store.customer_of(user_id) is not None:
            raise FeatureDisabled
