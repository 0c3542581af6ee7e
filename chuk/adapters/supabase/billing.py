"""Customers, subscriptions and the inbox of events, in a Supabase project's Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chuk.adapters.supabase import answers
from chuk.adapters.supabase.client import SupabaseProject
from chuk.billing.ports import InboxEvent, Subscription
from chuk.clock import Clock


class SupabaseBilling:
    """See `chuk.billing.ports.BillingStore`.

    Args:
        free_messages: what a purse starts with; a customer's comes into being with the customer.
    """

    def __init__(self, project: SupabaseProject, *, free_messages: int, clock: Clock) -> None:
        self._project = project
        self._free_messages = free_messages
        self._clock = clock

    async def customer_of(self, user_id: UUID) -> str | None:
        """See the port."""
        return await self._project.call(
            "customer_of",
            lambda answer: answers.optional(answers.text)(answers.fields(answer)["customer_id"]),
            user_id=user_id,
        )

    async def user_of(self, customer_id: str) -> UUID | None:
        """See the port."""
        return await self._project.call(
            "user_of", answers.optional(_user_id), customer_id=customer_id
        )

    async def link_customer(self, user_id: UUID, customer_id: str) -> str:
        """See the port."""
        return await self._project.call(
            "link_customer", _tied, customer_id=customer_id, **self._whose(user_id)
        )

    async def unlink_customer(self, customer_id: str) -> None:
        """See the port."""
        await self._project.call("unlink_customer", answers.nothing, customer_id=customer_id)

    async def subscription(self, user_id: UUID) -> Subscription | None:
        """See the port."""
        return await self._project.call(
            "subscription", answers.optional(_subscription), user_id=user_id
        )

    async def save_subscription(self, user_id: UUID, subscription: Subscription) -> None:
        """See the port."""
        await self._project.call(
            "save_subscription",
            answers.nothing,
            id=subscription.id,
            customer_id=subscription.customer_id,
            status=subscription.status,
            current_period_start=subscription.current_period_start,
            current_period_end=subscription.current_period_end,
            cancel_at_period_end=subscription.cancel_at_period_end,
            **self._whose(user_id),
        )

    async def customers(self, after: str | None, limit: int) -> Sequence[tuple[str, UUID]]:
        """See the port."""
        return await self._project.call(
            "customers", answers.rows(_customer), after=after, limit=limit
        )

    async def record_event(self, event: InboxEvent) -> bool:
        """See the port."""
        return await self._project.call(
            "record_event",
            answers.truth,
            id=event.id,
            type=event.type,
            customer_id=event.customer_id,
            object_id=event.object_id,
            created_at=event.created_at,
            now=self._clock(),
        )

    async def mark_applied(self, event_id: str) -> None:
        """See the port."""
        await self._project.call("mark_applied", answers.nothing, id=event_id, now=self._clock())

    async def mark_failed(self, event_id: str, error: str) -> None:
        """See the port."""
        await self._project.call("mark_failed", answers.nothing, id=event_id, error=error)

    async def event(self, event_id: str) -> InboxEvent | None:
        """See the port."""
        return await self._project.call("event", answers.optional(_event), id=event_id)

    async def pending_events(self, older_than: datetime, limit: int) -> Sequence[InboxEvent]:
        """See the port."""
        return await self._project.call(
            "pending_events", answers.rows(_event), older_than=older_than, limit=limit
        )

    def _whose(self, user_id: UUID) -> dict[str, object]:
        return {"user_id": user_id, "free_messages": self._free_messages, "now": self._clock()}


def _tied(answer: Any) -> str:
    return answers.text(answers.fields(answer)["customer_id"])


def _user_id(answer: Any) -> UUID:
    return UUID(answers.text(answer))


def _customer(answer: Any) -> tuple[str, UUID]:
    customer_id, user_id = answer
    return answers.text(customer_id), _user_id(user_id)


def _subscription(answer: Any) -> Subscription:
    row = answers.fields(answer)
    return Subscription(
        id=answers.text(row["id"]),
        customer_id=answers.text(row["customer_id"]),
        status=answers.text(row["status"]),
        current_period_start=answers.optional(answers.moment)(row["current_period_start"]),
        current_period_end=answers.optional(answers.moment)(row["current_period_end"]),
        cancel_at_period_end=answers.truth(row["cancel_at_period_end"]),
    )


def _event(answer: Any) -> InboxEvent:
    row = answers.fields(answer)
    return InboxEvent(
        id=answers.text(row["id"]),
        type=answers.text(row["type"]),
        customer_id=answers.optional(answers.text)(row["customer_id"]),
        object_id=answers.optional(answers.text)(row["object_id"]),
        created_at=answers.moment(row["created_at"]),
        attempts=answers.number(row["attempts"]),
    )
