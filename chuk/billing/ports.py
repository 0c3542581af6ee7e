"""What billing needs from outside: its own records, and the payment provider."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Subscription:
    """A user's subscription, as Stripe last said.

    Attributes:
        status: Stripe's own word (https://docs.stripe.com/api/subscriptions/object).
    """

    id: str
    customer_id: str
    status: str
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at_period_end: bool


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """An event as it is kept: what it is about, never its content."""

    id: str
    type: str
    customer_id: str | None
    object_id: str | None
    created_at: datetime
    attempts: int = 0


class BillingStore(Protocol):
    """Customers, subscriptions and the inbox of events.

    Every method raises `ServiceUnavailable` when the store cannot be reached.
    """

    async def customer_of(self, user_id: UUID) -> str | None:
        """The user's customer id at Stripe."""
        ...

    async def user_of(self, customer_id: str) -> UUID | None:
        """Whose customer this is; None for an unknown or an erased one."""
        ...

    async def link_customer(self, user_id: UUID, customer_id: str) -> str:
        """Tie a customer to a user. The first one wins: returns the one that is tied.

        Raises:
            Forbidden: the account is locked for deletion.
            ValueError: the customer is tied to another user.
        """
        ...

    async def unlink_customer(self, customer_id: str) -> None:
        """Forget a customer that was deleted at Stripe, and its subscription."""
        ...

    async def subscription(self, user_id: UUID) -> Subscription | None:
        """What is known of the user's subscription."""
        ...

    async def save_subscription(self, user_id: UUID, subscription: Subscription) -> None:
        """Replace what is known by Stripe's present state, as a whole.

        Of an account under deletion nothing is kept any more.
        """
        ...

    async def customers(self, after: str | None, limit: int) -> Sequence[tuple[str, UUID]]:
        """Every customer and its user, by customer id, paged."""
        ...

    async def record_event(self, event: InboxEvent) -> bool:
        """Keep an event before it is applied. False: it is known, and was applied already."""
        ...

    async def mark_applied(self, event_id: str) -> None:
        """The event has done all it should.

        What it was about is kept only where it names a customer of ours, past ones too: of others
        nobody would know when to forget it.
        """
        ...

    async def mark_failed(self, event_id: str, error: str) -> None:
        """It could not be applied; `error` is the name of a type, never a message."""
        ...

    async def event(self, event_id: str) -> InboxEvent | None:
        """One event, applied or not."""
        ...

    async def pending_events(self, older_than: datetime, limit: int) -> Sequence[InboxEvent]:
        """Events received before then and not applied yet, the oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Reversal:
    """Money of an invoice that went back to its payer, or that the payer's bank took back.

    Attributes:
        reference: unique for ever: `refund:<id>` or `dispute:<id>`.
        part: of what had been paid, over 0 and at most 1.
        is_undone: it is ours again for good: the refund failed, or the dispute was won.
    """

    reference: str
    part: Fraction
    is_undone: bool = False


@dataclass(frozen=True, slots=True)
class PaidInvoice:
    """An invoice that paid for a period of our plan.

    Attributes:
        period_start: when the period that it pays for begins.
    """

    id: str
    subscription_id: str | None
    period_start: datetime
    reversals: tuple[Reversal, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomerState:
    """All that counts of a customer at Stripe right now.

    Attributes:
        user_id: whom the customer was made for, by its metadata.
        subscriptions: ended ones too, the newest first.
        invoices: those that paid for our plan, the oldest period first.
    """

    id: str
    user_id: UUID | None
    subscriptions: tuple[Subscription, ...] = ()
    invoices: tuple[PaidInvoice, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """A page on which a customer can subscribe.

    Attributes:
        is_open: whether it can still be completed.
        terms: what it was made for (`CheckoutOrder.terms`); None for a page of others.
    """

    id: str
    url: str | None
    is_open: bool
    expires_at: datetime
    terms: str | None


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """What a checkout page is to sell, and where it leads."""

    customer_id: str
    user_id: UUID
    price_id: str
    success_url: str
    cancel_url: str
    promotion_codes: bool
    automatic_tax: bool

    @property
    def terms(self) -> str:
        """Two orders with the same terms may share a page."""
        options = f"{self.promotion_codes:d}{self.automatic_tax:d}"
        whole = "\n".join((self.price_id, options, self.success_url, self.cancel_url))
        return hashlib.sha256(whole.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """An event as Stripe says it: only its ids are ever used.

    Attributes:
        is_ours: False for another account, or for the other one of live and test mode.
    """

    event: InboxEvent
    is_ours: bool


class PaymentProvider(Protocol):
    """Stripe, as far as we need it.

    Every method raises `BillingError` when Stripe refuses, `ProviderError` when it fails or
    answers nonsense, `ProviderTimeout` when it is too slow, `ServiceUnavailable` when it has too
    much to do. Every write has an idempotency key: two with one key are one.
    """

    async def create_customer(self, user_id: UUID, key: str) -> str:
        """Make a customer; returns its id."""
        ...

    async def customer_state(self, customer_id: str) -> CustomerState | None:
        """What is at Stripe now; None where the customer was deleted, or never was."""
        ...

    async def subscriptions(self, customer_id: str) -> tuple[Subscription, ...]:
        """Only the subscriptions of `customer_state`, which is one question instead of several."""
        ...

    async def customers(self, after: str | None) -> Sequence[str]:
        """Ids of all customers, paged; empty after the last page."""
        ...

    async def customers_made_for(self, user_id: UUID) -> Sequence[str]:
        """Customers whose metadata names the user. May miss those of the last minutes."""
        ...

    async def delete_customer(self, customer_id: str) -> None:
        """End the customer's subscriptions at once and delete the customer; safe to repeat."""
        ...

    async def checkout_sessions(self, customer_id: str) -> Sequence[CheckoutSession]:
        """The customer's latest pages, the newest first."""
        ...

    async def create_checkout(self, order: CheckoutOrder, key: str) -> CheckoutSession:
        """Make a page on which the customer can subscribe."""
        ...

    async def expire_checkout(self, session_id: str) -> None:
        """Close an open page; one that is closed already stays as it is."""
        ...

    async def create_portal(self, customer_id: str, return_url: str) -> str | None:
        """The address of a page on which the customer manages the subscription.

        None where the customer was deleted.
        """
        ...

    async def customer_of(self, event: InboxEvent) -> str | None:
        """Whom an event is about that does not name its customer itself (a dispute)."""
        ...

    async def event(self, event_id: str) -> IncomingEvent | None:
        """One event of the last 30 days."""
        ...


class EventReader(Protocol):
    """Reads what was sent to the webhook."""

    def read(self, body: bytes, signature: str) -> IncomingEvent:
        """Check the signature over the very bytes, then read the event.

        Raises:
            InvalidRequest: not signed, wrongly signed, too old, or no event.
        """
        ...
