"""A user who subscribes at the stand-in for Stripe, and what Stripe tells the server of it."""

from __future__ import annotations

from uuid import UUID

from tests.crash.servers import Mortal
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe_objects import Object

# What a first payment must tell; the rest of its events says nothing that these do not.
TOLD = ("checkout.session.completed", "customer.subscription.created", "invoice.paid")


class Customer:
    """One user at both ends."""

    def __init__(self, server: Mortal, stripe: FakeStripe, user: UUID) -> None:
        self._server = server
        self._stripe = stripe
        self.user = user
        self.headers = server.bearer(user)
        self._session_id: str | None = None
        self._has_paid = False
        self._events_before = len(stripe.account.events)

    async def checkout(self) -> None:
        """Ask for a page to pay on."""
        async with self._server.client.post(
            f"{self._server.url}/v1/stripe/create-checkout-session", headers=self.headers
        ) as response:
            assert response.status == 200, await response.text()
            body = await response.json()
        self._session_id = body["data"]["checkout_url"].rpartition("/")[2]

    async def subscribe(self) -> None:
        """Do what is left of it: ask for the page, pay, and let Stripe tell until it is heard."""
        if self._session_id is None:
            await self.checkout()
        assert self._session_id is not None
        if not self._has_paid:
            self._stripe.account.complete_checkout(self._session_id)
            self._has_paid = True
        assert set(await self.tell()) == {200}

    async def tell(self, *, times: int = 1) -> list[int]:
        """Send all that Stripe has to say of this payment; an event that broke off is sent anew."""
        return await self._stripe.deliver(
            f"{self._server.url}/webhooks/stripe", *self.events(), times=times
        )

    def events(self) -> list[Object]:
        """What Stripe says of this payment."""
        happened = list(self._stripe.account.events.values())[self._events_before :]
        return [event for event in happened if event["type"] in TOLD]

    def at_stripe(self) -> list[Object]:
        """The customers that were ever made for this user and are still there."""
        customers = self._stripe.account.customers.values()
        return [
            customer
            for customer in customers
            if str(self.user) in customer.get("metadata", {}).values()
        ]
