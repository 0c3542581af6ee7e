"""Calling Stripe: what is sent, what is read, and what each failure becomes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from chuk.adapters.stripe import Stripe
from chuk.adapters.stripe_client import VERSION, StripeClient
from chuk.billing.ports import CheckoutOrder, InboxEvent
from chuk.errors import (
    BillingError,
    ChukError,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
)
from tests.fakes.stripe import PRICE, FakeStripe, Fault
from tests.fakes.stripe_objects import MONTH

USER = UUID("aaaaaaaa-0000-4000-8000-000000000001")
KEY = "a-key"


@pytest.fixture
async def fake() -> AsyncIterator[FakeStripe]:
    """A fake Stripe, running."""
    async with FakeStripe() as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session as the application shares one."""
    async with aiohttp.ClientSession() as shared:
        yield shared


@pytest.fixture
def waits() -> list[float]:
    """How long was waited between attempts."""
    return []


@pytest.fixture
def connect(
    fake: FakeStripe, session: aiohttp.ClientSession, waits: list[float]
) -> Callable[..., Stripe]:
    """Make a client of the fake."""

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    def make(*, timeout: float = 10.0, retries: int = 0, key: str = fake.secret_key) -> Stripe:
        client = StripeClient(
            session,
            secret_key=key,
            base_url=f"{fake.base_url}/",
            timeout=timeout,
            retries=retries,
            sleep=wait,
        )
        return Stripe(client, price_id=PRICE, is_live=False, clock=fake.clock)

    return make


def order(customer_id: str, **options: Any) -> CheckoutOrder:
    return CheckoutOrder(
        **{
            "customer_id": customer_id,
            "user_id": USER,
            "price_id": PRICE,
            "success_url": "https://app.test/billing/success",
            "cancel_url": "https://app.test/billing/cancel",
            "promotion_codes": False,
            "automatic_tax": False,
            **options,
        }
    )


Ask = Callable[[Stripe, str], Awaitable[object]]

CALLS: dict[str, Ask] = {
    "create_customer": lambda stripe, _: stripe.create_customer(USER, KEY),
    "customer_state": lambda stripe, customer: stripe.customer_state(customer),
    "subscriptions": lambda stripe, customer: stripe.subscriptions(customer),
    "customers": lambda stripe, _: stripe.customers(None),
    "customers_made_for": lambda stripe, _: stripe.customers_made_for(USER),
    "delete_customer": lambda stripe, customer: stripe.delete_customer(customer),
    "checkout_sessions": lambda stripe, customer: stripe.checkout_sessions(customer),
    "create_checkout": lambda stripe, customer: stripe.create_checkout(order(customer), KEY),
    "create_portal": lambda stripe, customer: stripe.create_portal(customer, "https://app.test"),
    "event": lambda stripe, _: stripe.event("evt_000002"),
}

FAILURES: list[tuple[Fault, type[ChukError]]] = [
    (Fault.CARD, BillingError),
    (Fault.INVALID, BillingError),
    (Fault.KEY, ProviderError),
    (Fault.BUSY, ServiceUnavailable),
    (Fault.BROKEN, ProviderError),
    (Fault.DOWN, ProviderError),
    (Fault.LOST, ProviderError),
    (Fault.CUT, ProviderError),
    (Fault.NONSENSE, ProviderError),
    (Fault.EMPTY, ProviderError),
]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("fault", "error"), FAILURES)
async def test_every_failure_of_every_call_is_one_of_ours(
    fake: FakeStripe,
    connect: Callable[..., Stripe],
    name: str,
    fault: Fault,
    error: type[ChukError],
) -> None:
    customer = fake.account.add_customer()["id"]
    fake.fail(fault, times=None)
    with pytest.raises(error) as raised:
        await CALLS[name](connect(), customer)
    assert type(raised.value) is error
    assert "Declined" not in raised.value.message
    assert "model" not in raised.value.message


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_too_slow_is_given_up(
    fake: FakeStripe, connect: Callable[..., Stripe], name: str
) -> None:
    customer = fake.account.add_customer()["id"]
    fake.fail(Fault.SLOW, times=None)
    with pytest.raises(ProviderTimeout):
        await CALLS[name](connect(timeout=0.05), customer)


async def test_nobody_listening_is_a_failure_of_stripe(session: aiohttp.ClientSession) -> None:
    client = StripeClient(
        session,
        secret_key="sk_test_x",
        base_url="http://127.0.0.1:9",
        timeout=10,
        retries=0,
    )
    with pytest.raises(ProviderError):
        await Stripe(client, price_id=PRICE, is_live=False).customers(None)


async def test_a_wrong_key_of_ours_is_never_the_users_fault(
    connect: Callable[..., Stripe],
) -> None:
    with pytest.raises(ProviderError):
        await connect(key="sk_test_wrong").customers(None)


@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.LOST, Fault.DOWN, Fault.CUT])
async def test_what_failed_on_the_way_is_tried_again_with_the_same_key(
    fake: FakeStripe, connect: Callable[..., Stripe], waits: list[float], fault: Fault
) -> None:
    fake.fail(fault, method="POST")
    made = await connect(retries=2).create_customer(USER, KEY)
    assert list(fake.account.customers) == [made]
    assert [call.key for call in fake.calls] == [KEY, KEY]
    assert len(waits) == 1


async def test_a_refusal_and_too_many_requests_are_not_tried_again(
    fake: FakeStripe, connect: Callable[..., Stripe]
) -> None:
    for fault in (Fault.INVALID, Fault.CARD, Fault.BUSY):
        fake.fail(fault, method="POST")
        with pytest.raises((BillingError, ServiceUnavailable)):
            await connect(retries=2).create_customer(USER, KEY)
    assert len(fake.calls) == 3


async def test_it_asks_in_one_version_and_tells_nothing_of_the_machine(
    fake: FakeStripe, connect: Callable[..., Stripe]
) -> None:
    await connect().create_customer(USER, KEY)
    await connect().customers(None)
    for call in fake.calls:
        assert call.headers["stripe-version"] == VERSION
        assert "telemetry" not in call.headers["x-stripe-client-user-agent"]
        assert "platform" not in call.headers["x-stripe-client-user-agent"]
        assert "x-stripe-client-telemetry" not in call.headers


async def test_a_key_used_for_something_else_is_our_failure(
    fake: FakeStripe, connect: Callable[..., Stripe]
) -> None:
    stripe = connect()
    await stripe.create_customer(USER, KEY)
    with pytest.raises(ProviderError):
        await stripe.create_customer(UUID(int=1), KEY)


async def test_a_customers_state_is_read_as_a_whole(
    fake: FakeStripe, connect: Callable[..., Stripe]
) -> None:
    account = fake.account
    customer = account.add_customer({"user_id": str(USER)})["id"]
    old = account.subscribe(customer)
    account.cancel(old["id"])
    account.now += MONTH
    new = account.subscribe(customer)
    account.refund(old["latest_invoice"], 500)
    account.dispute(old["latest_invoice"], 1000)
    account.bill_once(customer)
    state = await connect().customer_state(customer)
    assert state is not None
    assert (state.id, state.user_id) == (customer, USER)
    assert [(each.id, each.status) for each in state.subscriptions] == [
        (new["id"], "active"),
        (old["id"], "canceled"),
    ]
    item = new["items"]["data"][0]
    newest = state.subscriptions[0]
    assert newest.customer_id == customer
    assert newest.current_period_start == datetime.fromtimestamp(item["current_period_start"], UTC)
    assert newest.current_period_end == datetime.fromtimestamp(item["current_period_end"], UTC)
    assert [each.id for each in state.invoices] == [old["latest_invoice"], new["latest_invoice"]]
    first, second = state.invoices
    assert first.subscription_id == old["id"]
    assert [each.part for each in first.reversals] == [Fraction(1, 4), Fraction(1, 2)]
    assert [each.reference.split(":")[0] for each in first.reversals] == ["refund", "dispute"]
    assert second.reversals == ()
    assert second.period_start == newest.current_period_start


async def test_who_is_gone_or_never_was_has_no_state(
    fake: FakeStripe, connect: Callable[..., Stripe]
) -> None:
    stripe = connect()
    assert await stripe.customer_state("cus_nobody") is None
    customer = fake.account.add_customer()["id"]
    fake.account.delete_customer(customer)
    assert await stripe.customer_state(customer) is None
    assert await stripe.create_portal(customer, "https://app.test") is None
    await stripe.delete_customer(customer)
    await stripe.delete_customer("cus_nobody")
    with pytest.raises(BillingError):
        await stripe.create_checkout(order(customer), KEY)


async def test_a_customer_whose_metadata_is_nonsense_was_made_for_nobody(
    fake: FakeStripe, connect: Callable[..., Stripe]
) -> None:
    customer = fake.account.add_customer({"user_id": "me"})["id"]
    state = await connect().customer_state(customer)
    assert state is not None
    assert state.user_id is None


async def test_customers_are_paged(fake: FakeStripe, connect: Callable[..., Stripe]) -> None:
    made = [fake.account.add_customer()["id"] for _ in range(150)]
    stripe = connect()
    first = await stripe.customers(None)
    second = await stripe.customers(first[-1])
    assert [*first, *second] == made[::-1]
    assert await stripe.customers(second[-1]) == []


async def test_pages_come_the_newest_first_and_can_be_closed(
    fake: FakeStripe, connect: Callable[..., Stripe]
) -> None:
    stripe = connect()
    customer = fake.account.add_customer()["id"]
    first = await stripe.create_checkout(order(customer), "one")
    again = await stripe.create_checkout(order(customer), "one")
    second = await stripe.create_checkout(order(customer, promotion_codes=True), "two")
    assert first == again != second
    assert first.is_open and first.url is not None
    assert first.terms == order(customer).terms != second.terms
    await stripe.expire_checkout(first.id)
    await stripe.expire_checkout(first.id)
    states = [(each.id, each.is_open) for each in await stripe.checkout_sessions(customer)]
    assert states == [(second.id, True), (first.id, False)]


async def test_only_a_dispute_is_asked_whose_it_is(
    fake: FakeStripe, connect: Callable[..., Stripe]
) -> None:
    stripe = connect()
    customer = fake.account.add_customer()["id"]
    subscription = fake.account.subscribe(customer)
    dispute = fake.account.dispute(subscription["latest_invoice"])

    def event(kind: str, about: str | None) -> InboxEvent:
        return InboxEvent("evt_1", kind, None, about, fake.clock())

    assert await stripe.customer_of(event("charge.dispute.created", dispute["id"])) == customer
    assert await stripe.customer_of(event("charge.dispute.created", "dp_nobody")) is None
    asked = len(fake.calls)
    assert await stripe.customer_of(event("charge.dispute.created", None)) is None
    assert await stripe.customer_of(event("charge.refunded", "ch_1")) is None
    assert len(fake.calls) == asked


async def test_an_event_is_fetched_by_its_id(
    fake: FakeStripe, connect: Callable[..., Stripe]
) -> None:
    customer = fake.account.add_customer()["id"]
    (made,) = fake.account.events.values()
    incoming = await connect().event(made["id"])
    assert incoming is not None
    assert incoming.is_ours
    assert incoming.event == InboxEvent(
        made["id"], "customer.created", customer, customer, fake.clock()
    )
    assert await connect().event("evt_nobody") is None


@pytest.mark.parametrize("event_id", ["", "..", "../v1/customers?limit=1", "evt_1/../../x"])
async def test_an_id_that_is_none_is_not_asked_for(
    fake: FakeStripe, connect: Callable[..., Stripe], event_id: str
) -> None:
    assert await connect().event(event_id) is None
    assert fake.calls == []
