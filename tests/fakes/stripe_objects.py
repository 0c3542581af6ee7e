"""Stripe's objects as its API of the pinned version shows them, as far as anybody here looks.

https://docs.stripe.com/api
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]

VERSION = "2026-10-28.endive"
MONTH = 30 * 86_400
PRICE = "price_pro"
OTHER_PRICE = "price_mug"


def price(price_id: str, amount: int, *, recurring: bool = True) -> Object:
    return {
        "id": price_id,
        "object": "price",
        "active": True,
        "currency": "eur",
        "livemode": False,
        "metadata": {},
        "product": f"prod_{price_id}",
        "recurring": {"interval": "month", "interval_count": 1} if recurring else None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
    }


def customer(customer_id: str, created: int, metadata: dict[str, str]) -> Object:
    return {
        "id": customer_id,
        "object": "customer",
        "balance": 0,
        "created": created,
        "currency": None,
        "delinquent": False,
        "email": None,
        "livemode": False,
        "metadata": metadata,
    }


def checkout_session(session_id: str, created: int, params: dict[str, Any], url: str) -> Object:
    return {
        "id": session_id,
        "object": "checkout.session",
        "allow_promotion_codes": _flag(params.get("allow_promotion_codes")),
        "automatic_tax": {"enabled": _flag(params.get("automatic_tax", {}).get("enabled"))},
        "cancel_url": params["cancel_url"],
        "client_reference_id": params.get("client_reference_id"),
        "created": created,
        "currency": "eur",
        "customer": params["customer"],
        "expires_at": created + 86_400,
        "invoice": None,
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "mode": params["mode"],
        "payment_status": "unpaid",
        "status": "open",
        "subscription": None,
        "success_url": params["success_url"],
        "url": url,
    }


def subscription(
    subscription_id: str,
    customer_id: str,
    plan: Object,
    *,
    created: int,
    status: str,
    metadata: dict[str, str],
) -> Object:
    """The period sits on the item, as in every version since 2025-03-31."""
    item = {
        "id": f"si_{subscription_id}",
        "object": "subscription_item",
        "created": created,
        "current_period_start": created,
        "current_period_end": created + MONTH,
        "metadata": {},
        "price": plan,
        "quantity": 1,
        "subscription": subscription_id,
    }
    return {
        "id": subscription_id,
        "object": "subscription",
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "collection_method": "charge_automatically",
        "created": created,
        "currency": "eur",
        "customer": customer_id,
        "ended_at": None,
        "items": listing([item], f"/v1/subscription_items?subscription={subscription_id}"),
        "latest_invoice": None,
        "livemode": False,
        "metadata": metadata,
        "start_date": created,
        "status": status,
        "trial_end": None,
        "trial_start": None,
    }


def line(
    line_id: str,
    plan: Object,
    *,
    amount: int,
    start: int,
    end: int,
    subscription_id: str | None,
    proration: bool = False,
) -> Object:
    details = {"invoice_item": None, "proration": proration, "proration_details": None}
    parent: Object = {
        "type": "invoice_item_details",
        "invoice_item_details": {**details, "invoice_item": f"ii_{line_id}"},
        "subscription_item_details": None,
    }
    if subscription_id is not None:
        parent = {
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                **details,
                "subscription": subscription_id,
                "subscription_item": f"si_{subscription_id}",
            },
        }
    return {
        "id": line_id,
        "object": "line_item",
        "amount": amount,
        "currency": "eur",
        "discount_amounts": [],
        "metadata": {},
        "parent": parent,
        "period": {"start": start, "end": end},
        "pricing": {
            "type": "price_details",
            "price_details": {"price": plan["id"], "product": plan["product"]},
            "unit_amount_decimal": str(plan["unit_amount"]),
        },
        "quantity": 1,
    }


def invoice(
    invoice_id: str,
    customer_id: str,
    lines: list[Object],
    *,
    created: int,
    total: int,
    subscription_id: str | None,
    reason: str,
) -> Object:
    parent = None
    if subscription_id is not None:
        details = {"metadata": {}, "subscription": subscription_id}
        parent = {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": details,
        }
    return {
        "id": invoice_id,
        "object": "invoice",
        "amount_due": total,
        "amount_paid": 0,
        "amount_remaining": total,
        "attempt_count": 0,
        "billing_reason": reason,
        "created": created,
        "currency": "eur",
        "customer": customer_id,
        "lines": listing(lines, f"/v1/invoices/{invoice_id}/lines"),
        "livemode": False,
        "metadata": {},
        "parent": parent,
        "payments": listing([], "/v1/invoice_payments"),
        "period_end": created,
        "period_start": created,
        "status": "open",
        "subtotal": sum(each["amount"] for each in lines),
        "total": total,
    }


def invoice_payment(number: int, invoice_id: str, payment_intent: str, amount: int) -> Object:
    return {
        "id": f"inpay_{number}",
        "object": "invoice_payment",
        "amount_paid": amount,
        "amount_requested": amount,
        "currency": "eur",
        "invoice": invoice_id,
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": payment_intent, "type": "payment_intent"},
        "status": "paid",
    }


def charge(
    charge_id: str, customer_id: str, payment_intent: str, *, created: int, amount: int
) -> Object:
    return {
        "id": charge_id,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "captured": True,
        "created": created,
        "currency": "eur",
        "customer": customer_id,
        "disputed": False,
        "livemode": False,
        "paid": True,
        "payment_intent": payment_intent,
        "refunded": False,
        "status": "succeeded",
    }


def refund(refund_id: str, of: Object, *, created: int, amount: int) -> Object:
    return {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "charge": of["id"],
        "created": created,
        "currency": "eur",
        "payment_intent": of["payment_intent"],
        "status": "succeeded",
    }


def dispute(dispute_id: str, of: Object, *, created: int, amount: int, status: str) -> Object:
    return {
        "id": dispute_id,
        "object": "dispute",
        "amount": amount,
        "charge": of["id"],
        "created": created,
        "currency": "eur",
        "livemode": False,
        "payment_intent": of["payment_intent"],
        "reason": "fraudulent",
        "status": status,
    }


def event(event_id: str, kind: str, about: Object, created: int) -> Object:
    return {
        "id": event_id,
        "object": "event",
        "api_version": VERSION,
        "created": created,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def webhook_endpoint(endpoint_id: str, url: str, events: Sequence[str]) -> Object:
    return {
        "id": endpoint_id,
        "object": "webhook_endpoint",
        "api_version": None,
        "enabled_events": list(events),
        "livemode": False,
        "status": "enabled",
        "url": url,
    }


def listing(rows: list[Object], url: str, *, has_more: bool = False) -> Object:
    return {"object": "list", "data": rows, "has_more": has_more, "url": url}


def _flag(value: object) -> bool:
    return value in (True, "true")
