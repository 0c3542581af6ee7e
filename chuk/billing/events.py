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


def concerns_us(event_type: str) -> bool:
    """Whether an event of this type may change what a customer has."""
    return event_type in _HANDLED or event_type.startswith(_HANDLED_FAMILY)
