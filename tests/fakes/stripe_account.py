"""What a Stripe account holds, and what happens in it.

Whatever changes something here is remembered as events, as Stripe would send them. Sending them
is another matter: see `tests.fakes.stripe`.
"""

from __future__ import annotations

import copy
import itertools

from tests.fakes import stripe_objects as shapes
from tests.fakes.stripe_objects import MONTH, OTHER_PRICE, PRICE, Object

_IGNORED_WITH_A_PAYMENT = ("payment_intent.succeeded", "charge.succeeded", "invoice_payment.paid")


class StripeAccount:
    """The account. Every collection maps ids to objects, the oldest first.

    Attributes:
        now: its clock, Unix seconds; tests move it.
        events: everything that happened, in order.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self.prices = {
            PRICE: shapes.price(PRICE, 2000),
            OTHER_PRICE: shapes.price(OTHER_PRICE, 900, recurring=False),
        }
        self.customers: dict[str, Object] = {}
        self.sessions: dict[str, Object] = {}
        self.subscriptions: dict[str, Object] = {}
        self.invoices: dict[str, Object] = {}
        self.charges: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.disputes: dict[str, Object] = {}
        self.events: dict[str, Object] = {}
        self.webhook_endpoints: dict[str, Object] = {}
        self._numbers = itertools.count(1)

    # What the operator, a customer and Stripe itself do.

    def add_webhook(self, url: str, *events: str) -> Object:
        """Send events of these types to a URL, whenever a test says so."""
        made = shapes.webhook_endpoint(self._id("we"), url, events)
        self.webhook_endpoints[made["id"]] = made
        return made

    def add_customer(self, metadata: dict[str, str] | None = None) -> Object:
        """Make a customer."""
        made = shapes.customer(self._id("cus"), self.now, metadata or {})
        self.customers[made["id"]] = made
        self._happened("customer.created", made)
        return made

    def complete_checkout(
        self, session_id: str, *, promotion: bool = False, trial: bool = False
    ) -> Object:
        """The customer fills in an open page; returns the subscription.

        Args:
            promotion: with a code for 100 %.
            trial: the first month is a free trial.
        """
        session = self.sessions[session_id]
        assert session["status"] == "open", "this page is closed"
        subscription = self.subscribe(session["customer"], promotion=promotion, trial=trial)
        session |= {
            "status": "complete",
            "payment_status": "paid",
            "url": None,
            "subscription": subscription["id"],
            "invoice": subscription["latest_invoice"],
        }
        self._happened("checkout.session.completed", session)
        return subscription

    def subscribe(
        self,
        customer_id: str,
        *,
        price_id: str = PRICE,
        promotion: bool = False,
        trial: bool = False,
        pays: bool = True,
    ) -> Object:
        """Begin a subscription, `incomplete` unless its first invoice is paid."""
        assert "deleted" not in self.customers[customer_id], "the customer is deleted"
        status = "trialing" if trial else "active"
        made = shapes.subscription(
            self._id("sub"),
            customer_id,
            self.prices[price_id],
            created=self.now,
            status=status if pays else "incomplete",
            metadata={},
        )
        self.subscriptions[made["id"]] = made
        self._happened("customer.subscription.created", made)
        self._bill(made, "subscription_create", promotion=promotion, trial=trial, pays=pays)
        return made

    def renew(self, subscription_id: str, *, pays: bool = True) -> Object:
        """A period ends and the next one begins; returns its invoice.

        One that was to be cancelled then ends instead, and the last invoice is returned.
        """
        subscription = self.subscriptions[subscription_id]
        item = subscription["items"]["data"][0]
        self.now = max(self.now + 60, item["current_period_end"])
        if subscription["cancel_at_period_end"]:
            self.cancel(subscription_id)
            return self.invoices[subscription["latest_invoice"]]
        item["current_period_start"] = self.now
        item["current_period_end"] = self.now + MONTH
        subscription["status"] = "active" if pays else "past_due"
        made = self._bill(subscription, "subscription_cycle", pays=pays)
        self._happened("customer.subscription.updated", subscription)
        return made

    def pay(self, invoice_id: str) -> None:
        """An invoice that failed is paid after all."""
        invoice = self.invoices[invoice_id]
        self._paid(invoice)
        subscription = self._subscription_of(invoice)
        if subscription is not None and subscription["status"] != "canceled":
            subscription["status"] = "active"
            self._happened("customer.subscription.updated", subscription)

    def void(self, invoice_id: str) -> None:
        """An open invoice is given up."""
        self.invoices[invoice_id]["status"] = "void"
        self._happened("invoice.voided", self.invoices[invoice_id])

    def set_status(self, subscription_id: str, status: str) -> None:
        """Retries are over, or collection is paused."""
        self.subscriptions[subscription_id]["status"] = status
        self._happened("customer.subscription.updated", self.subscriptions[subscription_id])

    def cancel(self, subscription_id: str, *, at_period_end: bool = False) -> None:
        """End a subscription, now or with its period."""
        subscription = self.subscriptions[subscription_id]
        if at_period_end:
            subscription["cancel_at_period_end"] = True
            subscription["canceled_at"] = self.now
            self._happened("customer.subscription.updated", subscription)
            return
        subscription |= {"status": "canceled", "ended_at": self.now, "canceled_at": self.now}
        self._happened("customer.subscription.deleted", subscription)

    def refund(self, invoice_id: str, amount: int | None = None) -> Object:
        """Give back some of what an invoice cost, in cents; all that is left by default."""
        charge = self.charge_of(invoice_id)
        left = charge["amount"] - charge["amount_refunded"]
        given = left if amount is None else amount
        assert 0 < given <= left, "more than there is"
        made = shapes.refund(self._id("re"), charge, created=self.now, amount=given)
        self.refunds[made["id"]] = made
        charge["amount_refunded"] += given
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self._happened("refund.created", made)
        self._happened("charge.refunded", charge)
        return made

    def dispute(
        self, invoice_id: str, amount: int | None = None, *, status: str = "needs_response"
    ) -> Object:
        """The payer's bank takes a payment back."""
        charge = self.charge_of(invoice_id)
        made = shapes.dispute(
            self._id("dp"),
            charge,
            created=self.now,
            amount=charge["amount"] if amount is None else amount,
            status=status,
        )
        self.disputes[made["id"]] = made
        charge["disputed"] = True
        self._happened("charge.dispute.created", made)
        return made

    def delete_customer(self, customer_id: str) -> None:
        """Delete a customer, which ends the subscriptions at once."""
        for subscription in self.subscriptions.values():
            if subscription["customer"] == customer_id and subscription["status"] != "canceled":
                self.cancel(subscription["id"])
        gone = self.customers[customer_id]
        self._happened("customer.deleted", gone)
        self.customers[customer_id] = {"id": customer_id, "object": "customer", "deleted": True}

    def bill_once(self, customer_id: str, price_id: str = OTHER_PRICE) -> Object:
        """A paid invoice of its own, without a subscription."""
        plan = self.prices[price_id]
        line = shapes.line(
            self._id("il"),
            plan,
            amount=plan["unit_amount"],
            start=self.now,
            end=self.now,
            subscription_id=None,
        )
        return self._invoice(customer_id, [line], plan["unit_amount"], None, "manual", pays=True)

    def bill_proration(self, subscription_id: str, amount: int = 700) -> Object:
        """A paid invoice for a change within a period."""
        subscription = self.subscriptions[subscription_id]
        item = subscription["items"]["data"][0]
        line = shapes.line(
            self._id("il"),
            item["price"],
            amount=amount,
            start=self.now,
            end=item["current_period_end"],
            subscription_id=subscription_id,
            proration=True,
        )
        return self._invoice(
            subscription["customer"],
            [line],
            amount,
            subscription_id,
            "subscription_update",
            pays=True,
        )

    # Looking.

    def charge_of(self, invoice_id: str) -> Object:
        """The charge that paid an invoice."""
        payment = self.invoices[invoice_id]["payments"]["data"][0]["payment"]["payment_intent"]
        return next(each for each in self.charges.values() if each["payment_intent"] == payment)

    def latest_invoice(self, subscription_id: str) -> Object:
        """The invoice of the present period."""
        return self.invoices[self.subscriptions[subscription_id]["latest_invoice"]]

    def events_of(self, kind: str) -> list[Object]:
        """The events of one type, in order."""
        return [each for each in self.events.values() if each["type"] == kind]

    # Inside.

    def _bill(
        self,
        subscription: Object,
        reason: str,
        *,
        promotion: bool = False,
        trial: bool = False,
        pays: bool = True,
    ) -> Object:
        item = subscription["items"]["data"][0]
        amount = 0 if trial else item["price"]["unit_amount"]
        line = shapes.line(
            self._id("il"),
            item["price"],
            amount=amount,
            start=item["current_period_start"],
            end=item["current_period_end"],
            subscription_id=subscription["id"],
        )
        total = 0 if promotion else amount
        if promotion:
            line["discount_amounts"] = [{"amount": amount, "discount": "di_all"}]
        made = self._invoice(
            subscription["customer"], [line], total, subscription["id"], reason, pays=pays
        )
        subscription["latest_invoice"] = made["id"]
        return made

    def _invoice(
        self,
        customer_id: str,
        lines: list[Object],
        total: int,
        subscription_id: str | None,
        reason: str,
        *,
        pays: bool,
    ) -> Object:
        made = shapes.invoice(
            self._id("in"),
            customer_id,
            lines,
            created=self.now,
            total=total,
            subscription_id=subscription_id,
            reason=reason,
        )
        self.invoices[made["id"]] = made
        self._happened("invoice.finalized", made)
        if pays:
            self._paid(made)
        else:
            made["attempt_count"] += 1
            self._happened("invoice.payment_failed", made)
        return made

    def _paid(self, invoice: Object) -> None:
        total = invoice["total"]
        invoice |= {"status": "paid", "amount_paid": total, "amount_remaining": 0}
        if total:
            intent = self._id("pi")
            charge = shapes.charge(
                self._id("ch"), invoice["customer"], intent, created=self.now, amount=total
            )
            self.charges[charge["id"]] = charge
            payment = shapes.invoice_payment(next(self._numbers), invoice["id"], intent, total)
            invoice["payments"]["data"].append(payment)
            for kind in _IGNORED_WITH_A_PAYMENT:
                self._happened(kind, charge)
        self._happened("invoice.paid", invoice)
        self._happened("invoice.payment_succeeded", invoice)

    def _subscription_of(self, invoice: Object) -> Object | None:
        parent = invoice["parent"]
        if parent is None:
            return None
        return self.subscriptions[parent["subscription_details"]["subscription"]]

    def _id(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers):06d}"

    def _happened(self, kind: str, about: Object) -> None:
        about = {name: value for name, value in about.items() if name != "payments"}
        made = shapes.event(self._id("evt"), kind, copy.deepcopy(about), self.now)
        self.events[made["id"]] = made
