"""Stripe as a payment provider: what `chuk.billing` asks of it, as calls of its API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID

from chuk.adapters.stripe_client import Missing, StripeClient, nonsense
from chuk.adapters.stripe_objects import (
    TERMS,
    USER,
    Object,
    Returned,
    checkout_session,
    disputed,
    id_of,
    incoming_event,
    paid_invoice,
    paid_period,
    payments_of,
    refunded,
    subscription,
    user_of,
)
from chuk.billing.ports import (
    CheckoutOrder,
    CheckoutSession,
    CustomerState,
    InboxEvent,
    IncomingEvent,
    PaidInvoice,
    Subscription,
)
from chuk.clock import Clock, utc_now

_PAGE = 100
_LATEST_PAGES = 10
_ENDED = frozenset({"canceled", "incomplete_expired"})

Read = TypeVar("Read")


class Stripe:
    """See `chuk.billing.ports.PaymentProvider`.

    Args:
        price_id: the plan's price; only invoices for it count.
        is_live: whether the key is of live mode.
    """

    def __init__(
        self, client: StripeClient, *, price_id: str, is_live: bool, clock: Clock = utc_now
    ) -> None:
        self._client = client
        self._price_id = price_id
        self._is_live = is_live
        self._clock = clock

    async def create_customer(self, user_id: UUID, key: str) -> str:
        """See `PaymentProvider.create_customer`."""
        made = await self._client.post("/v1/customers", key, metadata={USER: str(user_id)})
        return _read(lambda: _known(id_of(made)))

    async def customer_state(self, customer_id: str) -> CustomerState | None:
        """See `PaymentProvider.customer_state`.

        Of invoices and charges the newest hundred are read: more than eight years of months.
        """
        customer = await self._customer(customer_id)
        if customer is None:
            return None
        subscriptions, invoices, charges = await asyncio.gather(
            self.subscriptions(customer_id),
            self._list("/v1/invoices", customer=customer_id, expand=["data.payments"]),
            self._list("/v1/charges", customer=customer_id),
        )
        returned: dict[str, list[Returned]] = {}
        for charge in charges:
            # An invoice names what paid it: a payment intent, or a charge that has none.
            name = id_of(charge.get("payment_intent")) or id_of(charge)
            returned.setdefault(name or "", []).extend(await self._returned(charge))
        return CustomerState(
            id=customer_id,
            user_id=_read(lambda: user_of(customer)),
            subscriptions=subscriptions,
            invoices=_read(lambda: tuple(self._paid(invoices, returned))),
        )

    async def subscriptions(self, customer_id: str) -> tuple[Subscription, ...]:
        """See `PaymentProvider.subscriptions`."""
        rows = await self._list("/v1/subscriptions", customer=customer_id, status="all")
        return _read(lambda: tuple(map(subscription, rows)))

    async def customers(self, after: str | None) -> Sequence[str]:
        """See `PaymentProvider.customers`."""
        since: dict[str, Any] = {"starting_after": after} if after else {}
        rows = await self._list("/v1/customers", **since)
        return _read(lambda: [_known(id_of(row)) for row in rows])

    async def customers_made_for(self, user_id: UUID) -> Sequence[str]:
        """See `PaymentProvider.customers_made_for`."""
        rows = await self._list("/v1/customers/search", query=f"metadata['{USER}']:'{user_id}'")
        return _read(lambda: [_known(id_of(row)) for row in rows])

    async def delete_customer(self, customer_id: str) -> None:
        """See `PaymentProvider.delete_customer`.

        The subscriptions first: should the customer's deletion fail, nothing is charged again.
        """
        if await self._customer(customer_id) is None:
            return
        for each in await self.subscriptions(customer_id):
            if each.status not in _ENDED:
                await self._client.delete(f"/v1/subscriptions/{_piece(each.id)}")
        await self._client.delete(f"/v1/customers/{_piece(customer_id)}")

    async def checkout_sessions(self, customer_id: str) -> Sequence[CheckoutSession]:
        """See `PaymentProvider.checkout_sessions`."""
        rows = await self._list("/v1/checkout/sessions", customer=customer_id, limit=_LATEST_PAGES)
        return _read(lambda: list(map(checkout_session, rows)))

    async def create_checkout(self, order: CheckoutOrder, key: str) -> CheckoutSession:
        """See `PaymentProvider.create_checkout`."""
        user = str(order.user_id)
        options: dict[str, Any] = {}
        if order.promotion_codes:
            options["allow_promotion_codes"] = True
        if order.automatic_tax:
            # Tax needs an address, which the page then asks for and keeps with the customer.
            options["automatic_tax"] = {"enabled": True}
            options["customer_update"] = {"address": "auto"}
        made = await self._client.post(
            "/v1/checkout/sessions",
            key,
            mode="subscription",
            customer=order.customer_id,
            client_reference_id=user,
            line_items=[{"price": order.price_id, "quantity": 1}],
            success_url=order.success_url,
            cancel_url=order.cancel_url,
            metadata={USER: user, TERMS: order.terms},
            subscription_data={"metadata": {USER: user}},
            **options,
        )
        return _read(lambda: checkout_session(made))

    async def expire_checkout(self, session_id: str) -> None:
        """See `PaymentProvider.expire_checkout`."""
        path = f"/v1/checkout/sessions/{_piece(session_id)}"
        # Another process may have closed it, or its customer has just paid.
        if (await self._client.get(path)).get("status") == "open":
            await self._client.post(f"{path}/expire", f"expire:{session_id}")

    async def create_portal(self, customer_id: str, return_url: str) -> str | None:
        """See `PaymentProvider.create_portal`."""
        # Short-lived by itself, so each visit gets a key, and a page, of its own.
        key = f"portal:{customer_id}:{self._clock().timestamp()}"
        try:
            made = await self._client.post(
                "/v1/billing_portal/sessions", key, customer=customer_id, return_url=return_url
            )
        except Missing:
            return None
        return _read(lambda: _known(made["url"]))

    async def customer_of(self, event: InboxEvent) -> str | None:
        """See `PaymentProvider.customer_of`."""
        if not event.type.startswith("charge.dispute.") or event.object_id is None:
            return None
        dispute = await self._client.find(
            f"/v1/disputes/{_piece(event.object_id)}", expand=["charge"]
        )
        if dispute is None:
            return None
        return _read(lambda: id_of((dispute.get("charge") or {}).get("customer")))

    async def event(self, event_id: str) -> IncomingEvent | None:
        """See `PaymentProvider.event`."""
        if id_of(event_id) is None:
            return None  # it comes from a command line
        found = await self._client.find(f"/v1/events/{_piece(event_id)}")
        if found is None:
            return None
        now = self._clock()
        return _read(lambda: incoming_event(found, is_live=self._is_live, received_at=now))

    async def _customer(self, customer_id: str) -> Object | None:
        """A customer; None where it was deleted, or never was."""
        found = await self._client.find(f"/v1/customers/{_piece(customer_id)}")
        if found is not None and found.get("id") != customer_id:
            # Taking nonsense for a customer without a subscription would end one.
            raise nonsense()
        return None if found is None or found.get("deleted") else found

    async def _list(self, path: str, **params: Any) -> Sequence[Object]:
        answer = await self._client.get(path, **{"limit": _PAGE, **params})
        return _read(lambda: _objects(answer["data"]))

    async def _returned(self, charge: Object) -> list[Returned]:
        """What went back of one charge."""
        charge_id = _read(lambda: _known(id_of(charge)))
        returned: list[Returned] = []
        if charge.get("amount_refunded"):
            refunds = await self._list("/v1/refunds", charge=charge_id)
            returned += _read(lambda: list(refunded(refunds)))
        if charge.get("disputed"):
            disputes = await self._list("/v1/disputes", charge=charge_id)
            returned += _read(lambda: list(disputed(disputes)))
        return returned

    def _paid(
        self, invoices: Sequence[Object], returned: Mapping[str, list[Returned]]
    ) -> list[PaidInvoice]:
        """The invoices that count, given what went back by payment."""
        paid = []
        for invoice in invoices:
            period_start = paid_period(invoice, self._price_id)
            if period_start is not None:
                parts = [part for name in payments_of(invoice) for part in returned.get(name, ())]
                paid.append(paid_invoice(invoice, period_start, parts))
        return sorted(paid, key=lambda each: (each.period_start, each.id))


def _piece(object_id: str) -> str:
    """An id as one piece of a path, whatever it holds."""
    return quote(object_id, safe="")


def _objects(rows: Any) -> Sequence[Object]:
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError("data")
    return rows


def _known(value: str | None) -> str:
    if not value:
        raise ValueError("id")
    return value


def _read(reading: Callable[[], Read]) -> Read:
    """Read an answer; one that has not its documented shape is a failure of Stripe's."""
    try:
        return reading()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        raise nonsense() from None
