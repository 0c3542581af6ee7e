"""The calls of Stripe's API: parameters in, objects out, refusals as Stripe makes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes import stripe_objects as shapes
from tests.fakes.stripe_account import StripeAccount
from tests.fakes.stripe_faults import Refused
from tests.fakes.stripe_objects import Object

_PART = re.compile(r"[^\[\]]+")
_QUERY = re.compile(r"metadata\['user_id'\]:'([0-9a-f-]{36})'")
_PAGING = frozenset({"limit", "starting_after", "expand"})

Call = Callable[..., Object]
Params = dict[str, Any]


def nested(pairs: list[tuple[str, str]]) -> Params:
    """`a[b][0]=c` as Stripe reads it: {"a": {"b": ["c"]}}."""
    tree: Params = {}
    for name, value in pairs:
        parts = _PART.findall(name)
        place = tree
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        place[parts[-1]] = value
    return {name: _with_lists(value) for name, value in tree.items()}


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _with_lists(each) for name, each in value.items()}
    return list(inner.values()) if all(name.isdigit() for name in inner) else inner


class StripeApi:
    """What can be called, on an account.

    Attributes:
        is_search_behind: new customers are not found by searching yet.
    """

    def __init__(self, account: StripeAccount) -> None:
        self.account = account
        self.is_search_behind = False
        self.calls: list[tuple[str, re.Pattern[str], Call, frozenset[str]]] = []
        for method, path, call, known in (
            ("POST", "/v1/customers", self._create_customer, {"metadata"}),
            ("GET", "/v1/customers", self._customers, _PAGING),
            ("GET", "/v1/customers/search", self._search, {"query", "limit"}),
            ("GET", "/v1/customers/{id}", self._customer, {"expand"}),
            ("DELETE", "/v1/customers/{id}", self._delete_customer, set()),
            ("POST", "/v1/checkout/sessions", self._create_session, _SESSION),
            ("GET", "/v1/checkout/sessions", self._sessions, _PAGING | {"customer", "status"}),
            ("GET", "/v1/checkout/sessions/{id}", self._session, {"expand"}),
            ("POST", "/v1/checkout/sessions/{id}/expire", self._expire, set()),
            ("POST", "/v1/billing_portal/sessions", self._portal, {"customer", "return_url"}),
            ("GET", "/v1/subscriptions", self._subscriptions, _PAGING | {"customer", "status"}),
            ("GET", "/v1/subscriptions/{id}", self._subscription, {"expand"}),
            ("DELETE", "/v1/subscriptions/{id}", self._cancel, {"prorate", "invoice_now"}),
            ("GET", "/v1/invoices", self._invoices, _PAGING | {"customer", "status"}),
            ("GET", "/v1/charges", self._charges, _PAGING | {"customer"}),
            ("GET", "/v1/refunds", self._refunds, _PAGING | {"charge", "payment_intent"}),
            ("GET", "/v1/disputes", self._disputes, _PAGING | {"charge", "payment_intent"}),
            ("GET", "/v1/disputes/{id}", self._dispute, {"expand"}),
            ("GET", "/v1/events", self._events, _PAGING | {"type"}),
            ("GET", "/v1/events/{id}", self._event, {"expand"}),
            ("GET", "/v1/prices/{id}", self._price, {"expand"}),
            ("GET", "/v1/webhook_endpoints", self._webhook_endpoints, _PAGING),
        ):
            pattern = re.compile(path.replace("{id}", "([^/]+)"))
            self.calls.append((method, pattern, call, frozenset(known)))

    def answer(self, method: str, path: str, params: Params) -> Object:
        """Do a call.

        Raises:
            Refused: as Stripe does.
        """
        for known_method, pattern, call, known in self.calls:
            found = pattern.fullmatch(path)
            if found and known_method == method:
                for name in params:
                    if name not in known:
                        message = f"Received unknown parameter: {name}"
                        raise Refused(400, message, code="parameter_unknown", param=name)
                return call(*found.groups(), params=params)
        raise Refused(404, f"Unrecognized request URL ({method}: {path})")

    # Customers.

    def _create_customer(self, params: Params) -> Object:
        return self.account.add_customer(params.get("metadata", {}))

    def _customers(self, params: Params) -> Object:
        rows = [each for each in self.account.customers.values() if "deleted" not in each]
        return _page(rows, params, "/v1/customers")

    def _search(self, params: Params) -> Object:
        found = _QUERY.fullmatch(params["query"])
        if found is None:
            raise Refused(400, "We were unable to parse your search query.", param="query")
        rows = [
            each
            for each in self.account.customers.values()
            if not self.is_search_behind and each.get("metadata", {}).get("user_id") == found[1]
        ]
        return {**_page(rows, params, "/v1/customers/search"), "object": "search_result"}

    def _customer(self, customer_id: str, params: Params) -> Object:
        return _the(self.account.customers, customer_id, "customer")

    def _delete_customer(self, customer_id: str, params: Params) -> Object:
        if "deleted" in _the(self.account.customers, customer_id, "customer"):
            raise _missing("customer", customer_id)
        self.account.delete_customer(customer_id)
        return self.account.customers[customer_id]

    def _living_customer(self, params: Params) -> str:
        customer_id: str = params["customer"]
        if self.account.customers.get(customer_id, {"deleted": True}).get("deleted"):
            raise _missing("customer", customer_id, status=400, param="customer")
        return customer_id

    # Pages.

    def _create_session(self, params: Params) -> Object:
        self._living_customer(params)
        for number, item in enumerate(params["line_items"]):
            if item["price"] not in self.account.prices:
                param = f"line_items[{number}][price]"
                raise _missing("price", item["price"], status=400, param=param)
        session_id = f"cs_test_{len(self.account.sessions) + 1:04d}"
        url = f"https://checkout.stripe.test/c/pay/{session_id}"
        made = shapes.checkout_session(session_id, self.account.now, params, url)
        self.account.sessions[session_id] = made
        return made

    def _sessions(self, params: Params) -> Object:
        for each in self.account.sessions.values():
            if each["status"] == "open" and each["expires_at"] <= self.account.now:
                each |= {"status": "expired", "url": None}
        return _page(_where(self.account.sessions, params, "customer", "status"), params, "")

    def _session(self, session_id: str, params: Params) -> Object:
        return _the(self.account.sessions, session_id, "checkout.session")

    def _expire(self, session_id: str, params: Params) -> Object:
        session = _the(self.account.sessions, session_id, "checkout.session")
        if session["status"] != "open":
            raise Refused(400, "Only Checkout Sessions with a status in [open] can be expired.")
        session |= {"status": "expired", "url": None}
        return session

    def _portal(self, params: Params) -> Object:
        customer_id = self._living_customer(params)
        return {
            "id": "bps_1",
            "object": "billing_portal.session",
            "created": self.account.now,
            "customer": customer_id,
            "livemode": False,
            "return_url": params["return_url"],
            "url": f"https://billing.stripe.test/p/session/{customer_id}",
        }

    # What is paid for.

    def _subscriptions(self, params: Params) -> Object:
        rows = _where(self.account.subscriptions, params, "customer")
        if params.get("status") != "all":
            rows = [each for each in rows if each["status"] != "canceled"]
        return _page(rows, params, "/v1/subscriptions")

    def _subscription(self, subscription_id: str, params: Params) -> Object:
        return _the(self.account.subscriptions, subscription_id, "subscription")

    def _cancel(self, subscription_id: str, params: Params) -> Object:
        subscription = _the(self.account.subscriptions, subscription_id, "subscription")
        if subscription["status"] == "canceled":
            raise _missing("subscription", subscription_id)
        self.account.cancel(subscription_id)
        return subscription

    def _invoices(self, params: Params) -> Object:
        rows = _where(self.account.invoices, params, "customer", "status")
        if "data.payments" not in params.get("expand", ()):
            rows = [{**each, "payments": None} for each in rows]
        return _page(rows, params, "/v1/invoices")

    def _charges(self, params: Params) -> Object:
        return _page(_where(self.account.charges, params, "customer"), params, "/v1/charges")

    def _refunds(self, params: Params) -> Object:
        rows = _where(self.account.refunds, params, "charge", "payment_intent")
        return _page(rows, params, "/v1/refunds")

    def _disputes(self, params: Params) -> Object:
        rows = _where(self.account.disputes, params, "charge", "payment_intent")
        return _page(rows, params, "/v1/disputes")

    def _dispute(self, dispute_id: str, params: Params) -> Object:
        dispute = _the(self.account.disputes, dispute_id, "dispute")
        if "charge" in params.get("expand", ()):
            return {**dispute, "charge": self.account.charges[dispute["charge"]]}
        return dispute

    def _events(self, params: Params) -> Object:
        return _page(_where(self.account.events, params, "type"), params, "/v1/events")

    def _event(self, event_id: str, params: Params) -> Object:
        return _the(self.account.events, event_id, "event")

    def _price(self, price_id: str, params: Params) -> Object:
        return _the(self.account.prices, price_id, "price")

    def _webhook_endpoints(self, params: Params) -> Object:
        rows = list(self.account.webhook_endpoints.values())
        return _page(rows, params, "/v1/webhook_endpoints")


_SESSION = {
    "allow_promotion_codes",
    "automatic_tax",
    "cancel_url",
    "client_reference_id",
    "customer",
    "customer_update",
    "line_items",
    "metadata",
    "mode",
    "subscription_data",
    "success_url",
}


def _the(collection: Mapping[str, Object], object_id: str, kind: str) -> Object:
    if object_id not in collection:
        raise _missing(kind, object_id)
    return collection[object_id]


def _missing(kind: str, object_id: str, *, status: int = 404, param: str = "id") -> Refused:
    return Refused(status, f"No such {kind}: '{object_id}'", code="resource_missing", param=param)


def _where(collection: Mapping[str, Object], params: Params, *names: str) -> list[Object]:
    asked = {name: params[name] for name in names if name in params}
    return [
        each
        for each in collection.values()
        if all(each.get(name) == value for name, value in asked.items())
    ]


def _page(rows: list[Object], params: Params, url: str) -> Object:
    """The newest first, as every list of Stripe's is."""
    newest = list(reversed(rows))
    after = params.get("starting_after")
    if after is not None:
        ids = [each["id"] for each in newest]
        if after not in ids:
            raise _missing("object", after, status=400, param="starting_after")
        newest = newest[ids.index(after) + 1 :]
    limit = int(params.get("limit", 10))
    if not 1 <= limit <= 100:
        raise Refused(400, "Invalid integer: limit", param="limit")
    return shapes.listing(newest[:limit], url, has_more=len(newest) > limit)
