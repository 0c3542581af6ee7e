"""Reads Stripe's objects, in the shapes of the pinned version.

https://docs.stripe.com/api. What does not have its shape raises KeyError, TypeError, ValueError
or AttributeError, which `chuk.adapters.stripe` makes one error of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from chuk.billing.ports import (
    CheckoutSession,
    InboxEvent,
    IncomingEvent,
    PaidInvoice,
    Reversal,
    Subscription,
)

Object = Mapping[str, Any]

TERMS = "chuk_terms"
"""Metadata of a checkout page: what it was made for."""
USER = "user_id"
"""Metadata of whatever was made for a user."""

# What may be kept and asked for: it stands in paths, and in columns that hold no NUL.
_ID = re.compile(r"[A-Za-z0-9_]{1,255}", re.ASCII)
_LONGEST_TYPE = 200
_UNDONE_REFUND = frozenset({"failed", "canceled"})
_UNDONE_DISPUTE = frozenset({"won", "prevented"})


@dataclass(frozen=True, slots=True)
class Returned:
    """Money of one charge that went back; `amount` in the currency's smallest unit."""

    reference: str
    amount: int
    is_undone: bool


def moment(seconds: object) -> datetime | None:
    """Unix seconds as a moment; None stays None."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise TypeError("seconds")
    return datetime.fromtimestamp(seconds, UTC)


def id_of(value: object) -> str | None:
    """The id of a reference, whether it came expanded or not."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def user_of(thing: Object) -> UUID | None:
    """Whom the object was made for; None where somebody else made it."""
    try:
        return UUID(str((thing.get("metadata") or {}).get(USER)))
    except ValueError:
        return None


def subscription(thing: Object) -> Subscription:
    """Read a subscription. Its period sits on its items; older versions have it on itself."""
    items: Sequence[Object] = thing["items"]["data"]
    starts = [each["current_period_start"] for each in items if "current_period_start" in each]
    ends = [each["current_period_end"] for each in items if "current_period_end" in each]
    start = max(starts) if starts else thing.get("current_period_start")
    end = max(ends) if ends else thing.get("current_period_end")
    cancel_at = thing.get("cancel_at")
    return Subscription(
        id=_text(thing["id"]),
        customer_id=_text(id_of(thing["customer"])),
        status=_text(thing["status"]),
        current_period_start=moment(start),
        current_period_end=moment(end),
        # The portal may say the same by naming the period's end as a date.
        cancel_at_period_end=bool(thing["cancel_at_period_end"])
        or (cancel_at is not None and end is not None and cancel_at <= end),
    )


def paid_period(invoice: Object, price_id: str) -> datetime | None:
    """When the period of our plan begins that an invoice paid for; None where it did not.

    It must be paid and have a line of our price with an amount, which is no proration. So a trial
    (an amount of 0) grants nothing, a promotion code of 100 % (an amount, a discount, a total of
    0) does, and neither a one-off invoice nor the price of another product counts.
    """
    if invoice["status"] != "paid":
        return None
    starts = [
        line["period"]["start"]
        for line in invoice["lines"]["data"]
        if _price_of(line) == price_id and line["amount"] > 0 and not _is_proration(line)
    ]
    return moment(max(starts)) if starts else None


def paid_invoice(
    invoice: Object, period_start: datetime, returned: Sequence[Returned]
) -> PaidInvoice:
    """Put together what is known of an invoice and of the money that went back."""
    parent = (invoice.get("parent") or {}).get("subscription_details") or {}
    paid = invoice["amount_paid"]
    return PaidInvoice(
        id=_text(invoice["id"]),
        subscription_id=id_of(parent.get("subscription")),
        period_start=period_start,
        reversals=tuple(
            Reversal(
                each.reference,
                min(Fraction(each.amount, max(paid, 1)), Fraction(1)),
                each.is_undone,
            )
            for each in returned
        ),
    )


def payments_of(invoice: Object) -> Iterator[str]:
    """Ids of the payment intents and charges that paid an invoice."""
    for each in (invoice.get("payments") or {}).get("data", ()):
        payment = each["payment"]
        for name in ("payment_intent", "charge"):
            if (found := id_of(payment.get(name))) is not None:
                yield found


def refunded(refunds: Sequence[Object]) -> Iterator[Returned]:
    """What each refund gave back."""
    for refund in refunds:
        if refund["amount"] > 0:
            yield Returned(
                f"refund:{_text(refund['id'])}",
                refund["amount"],
                refund["status"] in _UNDONE_REFUND,
            )


def disputed(disputes: Sequence[Object]) -> Iterator[Returned]:
    """What each dispute took. A mere inquiry (`warning_…`) takes nothing."""
    for dispute in disputes:
        status = _text(dispute["status"])
        if not status.startswith("warning_"):
            yield Returned(
                f"dispute:{_text(dispute['id'])}", dispute["amount"], status in _UNDONE_DISPUTE
            )


def checkout_session(thing: Object) -> CheckoutSession:
    """Read a checkout page."""
    expires_at = moment(thing["expires_at"])
    if expires_at is None:
        raise ValueError("expires_at")
    return CheckoutSession(
        id=_text(thing["id"]),
        url=thing.get("url"),
        is_open=thing["status"] == "open",
        expires_at=expires_at,
        terms=(thing.get("metadata") or {}).get(TERMS),
    )


def incoming_event(thing: Object, *, is_live: bool, received_at: datetime) -> IncomingEvent:
    """Keep the ids of an event; what it says of its object is never read.

    Args:
        is_live: whether our own key is of live mode.
        received_at: for an event that does not say when it was made.
    """
    about = (thing.get("data") or {}).get("object") or {}
    created = thing.get("created")
    return IncomingEvent(
        InboxEvent(
            id=_text(id_of(thing["id"])),
            type=_text(thing["type"])[:_LONGEST_TYPE],
            customer_id=id_of(
                about if about.get("object") == "customer" else about.get("customer")
            ),
            object_id=id_of(about),
            created_at=(moment(created) if isinstance(created, int) else None) or received_at,
        ),
        is_ours=not thing.get("account") and bool(thing.get("livemode")) == is_live,
    )


def _price_of(line: Object) -> str | None:
    pricing = line.get("pricing") or {}
    return id_of((pricing.get("price_details") or {}).get("price"))


def _is_proration(line: Object) -> bool:
    parent = line.get("parent") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    return bool(details.get("proration"))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("text")
    return value
