"""What billing needs from outside: its own records, and the payment provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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
        """Tie a customer to a user. The first one wins: returns the one that is tied."""
        ...

    async def unlink_customer(self, customer_id: str) -> None:
        """Forget a customer that was deleted at Stripe, and its subscription."""
        ...

    async def subscription(self, user_id: UUID) -> Subscription | None:
        """What is known of the user's subscription."""
        ...

    async def save_subscription(self, user_id: UUID, subscription: Subscription) -> None:
        """Replace what is known by Stripe's present state, as a whole."""
        ...

    async def customers(self, after: str | None, limit: int) -> Sequence[tuple[str, UUID]]:
        """Every customer and its user, by customer id, paged."""
        ...

    async def record_event(self, event: InboxEvent) -> bool:
        """Keep an event before it is applied. False: it is known, and was applied already."""
        ...

    async def mark_applied(self, event_id: str) -> None:
        """The event has done all it should."""
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
