"""Which of Stripe's events say something to us.

All of them mean the same: look at the customer again. None is ever believed for its content.
"""

from __future__ import annotations

_HANDLED = frozenset(
    {
        "checkout.session.completed",
        "invoice.paid",
        "invoice.payment_failed",
        "invoice.voided",
        "charge.refunded",
        "charge.dispute.created",
        "customer.deleted",
    }
)
_HANDLED_FAMILY = "customer.subscription."

NEEDED = _HANDLED | {f"{_HANDLED_FAMILY}{what}" for what in ("created", "updated", "deleted")}
"""What Stripe must send, or a customer's state is known only at the next comparison."""


def concerns_us(event_type: str) -> bool:
    """Whether an event of this type may change what a customer has."""
    return event_type in _HANDLED or event_type.startswith(_HANDLED_FAMILY)
