"""What a user has: the subscription, the credits, the free messages, as clients see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chuk.billing.ports import BillingStore, Subscription
from chuk.clock import iso_z
from chuk.credits.money import MicroEuro, euros
from chuk.credits.ports import LedgerStore

LIVE = frozenset({"active", "trialing", "past_due", "unpaid", "paused"})
"""A subscription that goes on. `unpaid` and `paused` are mended in the portal, not bought anew;
`incomplete` is a first payment that did not succeed yet, and may never."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a user has right now.

    Attributes:
        plan: the plan's name; None without a subscription.
        credits_remaining: net of what is on hold; never shown below 0.
        credits_total: as granted for the present period.
        subscription_status: Stripe's own word while the subscription is live, else `none`.
    """

    has_subscription: bool
    plan: str | None
    credits_remaining: MicroEuro
    credits_total: MicroEuro
    subscription_status: str
    current_period_end: datetime | None
    cancel_at_period_end: bool
    free_messages_remaining: int
    free_messages_total: int


class StatusDesk:
    """Tells what users have, from our own records alone.

    Args:
        plan: the name of the one plan.
    """

    def __init__(self, billing: BillingStore, ledger: LedgerStore, *, plan: str) -> None:
        self._billing = billing
        self._ledger = ledger
        self._plan = plan

    async def status_of(self, user_id: UUID) -> Status:
        """What the user has right now.

        Raises:
            ServiceUnavailable: the records cannot be reached.
        """
        subscription = await self._billing.subscription(user_id)
        purse = await self._ledger.purse(user_id)
        live = subscription if is_live(subscription) else None
        return Status(
            has_subscription=live is not None,
            plan=self._plan if live else None,
            credits_remaining=max(purse.available, MicroEuro(0)),
            credits_total=purse.allocated,
            subscription_status=live.status if live else "none",
            current_period_end=live.current_period_end if live else None,
            cancel_at_period_end=live.cancel_at_period_end if live else False,
            free_messages_remaining=max(purse.free_total - purse.free_used, 0),
            free_messages_total=purse.free_total,
        )


def is_live(subscription: Subscription | None) -> bool:
    """Whether there is a subscription that goes on."""
    return subscription is not None and subscription.status in LIVE


def status_object(status: Status) -> dict[str, Any]:
    """The object of contract §9; amounts are euros."""
    end = status.current_period_end
    return {
        "has_subscription": status.has_subscription,
        "current_plan": status.plan,
        "credits_remaining": euros(status.credits_remaining),
        "credits_total": euros(status.credits_total),
        "subscription_status": status.subscription_status,
        "current_period_end": iso_z(end) if end else None,
        "cancel_at_period_end": status.cancel_at_period_end,
        "free_messages_remaining": status.free_messages_remaining,
        "free_messages_total": status.free_messages_total,
    }
