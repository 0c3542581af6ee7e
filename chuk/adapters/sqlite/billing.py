"""Customers, subscriptions and the inbox of events in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chuk.adapters.sqlite.database import Database
from chuk.adapters.sqlite.moments import (
    microseconds,
    microseconds_or_none,
    moment,
    moment_or_none,
)
from chuk.adapters.sqlite.purses import is_locked, refuse_locked
from chuk.billing.ports import InboxEvent, Subscription
from chuk.clock import Clock, utc_now

_SAVE_SUBSCRIPTION = """
INSERT OR REPLACE INTO subscriptions
    (user_id, id, customer_id, status, current_period_start, current_period_end,
     cancel_at_period_end)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_KEEP_EVENT = """
INSERT INTO stripe_events (id, type, customer_id, object_id, created_at, received_at)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
# Whom an erased account's late event was about must not come back with it.
_FORGET_UNKNOWN = """
UPDATE stripe_events SET customer_id = NULL, object_id = NULL
WHERE id = ? AND NOT EXISTS (
    SELECT 1 FROM customers WHERE customers.customer_id = stripe_events.customer_id
)
"""
_EVENTS = "SELECT id, type, customer_id, object_id, created_at, attempts FROM stripe_events"


class SqliteBilling:
    """A `BillingStore`; each method is described there."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def customer_of(self, user_id: UUID) -> str | None:
        """The user's customer id at Stripe."""
        return await self._database.read(_customer_of, user_id)

    async def user_of(self, customer_id: str) -> UUID | None:
        """Whose customer this is."""
        return await self._database.read(_user_of, customer_id)

    async def link_customer(self, user_id: UUID, customer_id: str) -> str:
        """Tie a customer to a user; the first one wins."""
        return await self._database.write(_link_customer, user_id, customer_id)

    async def unlink_customer(self, customer_id: str) -> None:
        """Forget a customer and its subscription."""
        await self._database.write(_unlink_customer, customer_id)

    async def subscription(self, user_id: UUID) -> Subscription | None:
        """What is known of the user's subscription."""
        return await self._database.read(_subscription, user_id)

    async def save_subscription(self, user_id: UUID, subscription: Subscription) -> None:
        """Replace what is known, as a whole."""
        await self._database.write(_save_subscription, user_id, subscription)

    async def customers(self, after: str | None, limit: int) -> Sequence[tuple[str, UUID]]:
        """Every customer and its user, by customer id, paged."""
        return await self._database.read(_customers, after or "", limit)

    async def record_event(self, event: InboxEvent) -> bool:
        """Keep an event before it is applied."""
        return await self._database.write(_record_event, event, microseconds(self._clock()))

    async def mark_applied(self, event_id: str) -> None:
        """The event has done all it should."""
        await self._database.write(_mark_applied, event_id, microseconds(self._clock()))

    async def mark_failed(self, event_id: str, error: str) -> None:
        """It could not be applied."""
        await self._database.write(_mark_failed, event_id, error)

    async def event(self, event_id: str) -> InboxEvent | None:
        """One event, applied or not."""
        return await self._database.read(_event_of, event_id)

    async def pending_events(self, older_than: datetime, limit: int) -> Sequence[InboxEvent]:
        """Events received before then and not applied yet, the oldest first."""
        return await self._database.read(_pending_events, microseconds(older_than), limit)


def _customer_of(connection: sqlite3.Connection, user_id: UUID) -> str | None:
    row = connection.execute(
        "SELECT customer_id FROM customers WHERE user_id = ? AND NOT is_gone", (user_id.bytes,)
    ).fetchone()
    return None if row is None else row[0]


def _user_of(connection: sqlite3.Connection, customer_id: str) -> UUID | None:
    row = connection.execute(
        "SELECT user_id FROM customers WHERE customer_id = ? AND NOT is_gone", (customer_id,)
    ).fetchone()
    return None if row is None else UUID(bytes=row[0])


def _link_customer(connection: sqlite3.Connection, user_id: UUID, customer_id: str) -> str:
    tied = _customer_of(connection, user_id)
    if tied is not None:
        return tied
    refuse_locked(connection, user_id)
    if _user_of(connection, customer_id) is not None:
        raise ValueError("this customer is tied to another user")
    connection.execute(
        "INSERT OR REPLACE INTO customers (customer_id, user_id) VALUES (?, ?)",
        (customer_id, user_id.bytes),
    )
    return customer_id


def _unlink_customer(connection: sqlite3.Connection, customer_id: str) -> None:
    connection.execute("UPDATE customers SET is_gone = 1 WHERE customer_id = ?", (customer_id,))
    connection.execute("DELETE FROM subscriptions WHERE customer_id = ?", (customer_id,))


def _subscription(connection: sqlite3.Connection, user_id: UUID) -> Subscription | None:
    row = connection.execute(
        "SELECT id, customer_id, status, current_period_start, current_period_end,"
        " cancel_at_period_end FROM subscriptions WHERE user_id = ?",
        (user_id.bytes,),
    ).fetchone()
    if row is None:
        return None
    subscription_id, customer_id, status, start, end, cancels = row
    return Subscription(
        id=subscription_id,
        customer_id=customer_id,
        status=status,
        current_period_start=moment_or_none(start),
        current_period_end=moment_or_none(end),
        cancel_at_period_end=bool(cancels),
    )


def _save_subscription(
    connection: sqlite3.Connection, user_id: UUID, subscription: Subscription
) -> None:
    # What Stripe says of an account under deletion comes too late to be kept.
    if is_locked(connection, user_id):
        return
    connection.execute(
        _SAVE_SUBSCRIPTION,
        (
            user_id.bytes,
            subscription.id,
            subscription.customer_id,
            subscription.status,
            microseconds_or_none(subscription.current_period_start),
            microseconds_or_none(subscription.current_period_end),
            subscription.cancel_at_period_end,
        ),
    )


def _customers(
    connection: sqlite3.Connection, after: str, limit: int
) -> Sequence[tuple[str, UUID]]:
    rows = connection.execute(
        "SELECT customer_id, user_id FROM customers WHERE customer_id > ? AND NOT is_gone"
        " ORDER BY customer_id LIMIT ?",
        (after, limit),
    )
    return [(customer_id, UUID(bytes=user_id)) for customer_id, user_id in rows]


def _record_event(connection: sqlite3.Connection, event: InboxEvent, now: int) -> bool:
    connection.execute(
        _KEEP_EVENT,
        (
            event.id,
            event.type,
            event.customer_id,
            event.object_id,
            microseconds(event.created_at),
            now,
        ),
    )
    (applied_at,) = connection.execute(
        "SELECT applied_at FROM stripe_events WHERE id = ?", (event.id,)
    ).fetchone()
    return applied_at is None


def _mark_applied(connection: sqlite3.Connection, event_id: str, now: int) -> None:
    connection.execute(
        "UPDATE stripe_events SET applied_at = coalesce(applied_at, ?), error = NULL WHERE id = ?",
        (now, event_id),
    )
    connection.execute(_FORGET_UNKNOWN, (event_id,))


def _mark_failed(connection: sqlite3.Connection, event_id: str, error: str) -> None:
    connection.execute(
        "UPDATE stripe_events SET attempts = attempts + 1, error = ?"
        " WHERE id = ? AND applied_at IS NULL",
        (error, event_id),
    )


def _event_of(connection: sqlite3.Connection, event_id: str) -> InboxEvent | None:
    row = connection.execute(f"{_EVENTS} WHERE id = ?", (event_id,)).fetchone()
    return None if row is None else _event(row)


def _pending_events(
    connection: sqlite3.Connection, older_than: int, limit: int
) -> Sequence[InboxEvent]:
    rows = connection.execute(
        f"{_EVENTS} WHERE applied_at IS NULL AND received_at < ? ORDER BY received_at, id LIMIT ?",
        (older_than, limit),
    )
    return [_event(row) for row in rows]


def _event(row: tuple[Any, ...]) -> InboxEvent:
    event_id, event_type, customer_id, object_id, created_at, attempts = row
    return InboxEvent(event_id, event_type, customer_id, object_id, moment(created_at), attempts)
