"""Which bodies are taken for events of Stripe's, and what is kept of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.adapters.stripe_webhook import TOLERANCE, StripeWebhook
from chuk.billing.ports import InboxEvent
from chuk.errors import InvalidRequest
from tests.fakes.stripe import FakeStripe

NOW = 1_767_225_600
EVENT = {
    "id": "evt_1",
    "object": "event",
    "created": NOW - 5,
    "livemode": False,
    "type": "invoice.paid",
    "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_1"}},
}


@pytest.fixture
def fake() -> FakeStripe:
    """A fake that only signs."""
    made = FakeStripe()
    made.account.now = NOW
    return made


@pytest.fixture
def webhook(fake: FakeStripe) -> StripeWebhook:
    return StripeWebhook(fake.webhook_secret, is_live=False, clock=fake.clock)


def signed(fake: FakeStripe, document: Any) -> tuple[bytes, str]:
    body = json.dumps(document).encode()
    return body, fake.signature(body)


def test_a_signed_event_is_read_by_its_ids(fake: FakeStripe, webhook: StripeWebhook) -> None:
    incoming = webhook.read(*signed(fake, EVENT))
    created = datetime.fromtimestamp(NOW - 5, UTC)
    assert incoming.event == InboxEvent("evt_1", "invoice.paid", "cus_1", "in_1", created)
    assert incoming.is_ours


@pytest.mark.parametrize(
    ("about", "customer"),
    [
        ({"id": "cus_2", "object": "customer"}, "cus_2"),
        ({"id": "in_1", "object": "invoice", "customer": {"id": "cus_3"}}, "cus_3"),
        ({"id": "dp_1", "object": "dispute", "charge": "ch_1"}, None),
        ({"id": "x", "object": "invoice", "customer": None}, None),
        ({"id": "x", "object": "invoice", "customer": "../../x"}, None),
        ({"id": "x", "object": "invoice", "customer": "cus\u0000"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_whom_it_is_about_is_read_from_its_object(
    fake: FakeStripe, webhook: StripeWebhook, about: Any, customer: str | None
) -> None:
    document = {**EVENT, "data": {"object": about}}
    assert webhook.read(*signed(fake, document)).event.customer_id == customer


@pytest.mark.parametrize(
    "foreign", [{"livemode": True}, {"account": "acct_1"}, {"livemode": "yes"}]
)
def test_an_event_of_another_account_or_mode_is_not_ours(
    fake: FakeStripe, webhook: StripeWebhook, foreign: dict[str, Any]
) -> None:
    assert not webhook.read(*signed(fake, {**EVENT, **foreign})).is_ours


def test_live_events_are_ours_where_the_key_is_live(fake: FakeStripe) -> None:
    webhook = StripeWebhook(fake.webhook_secret, is_live=True, clock=fake.clock)
    assert webhook.read(*signed(fake, {**EVENT, "livemode": True})).is_ours
    assert not webhook.read(*signed(fake, EVENT)).is_ours


@pytest.mark.parametrize("age", [0, TOLERANCE, -TOLERANCE])
def test_a_signature_holds_for_five_minutes(
    fake: FakeStripe, webhook: StripeWebhook, age: int
) -> None:
    body = json.dumps(EVENT).encode()
    assert webhook.read(body, fake.signature(body, at=NOW - age)).is_ours


@pytest.mark.parametrize("age", [TOLERANCE + 1, -TOLERANCE - 1, 10**6])
def test_a_stale_signature_is_refused(fake: FakeStripe, webhook: StripeWebhook, age: int) -> None:
    body = json.dumps(EVENT).encode()
    with pytest.raises(InvalidRequest):
        webhook.read(body, fake.signature(body, at=NOW - age))


def test_the_signature_is_of_the_very_bytes(fake: FakeStripe, webhook: StripeWebhook) -> None:
    body = json.dumps(EVENT).encode()
    with pytest.raises(InvalidRequest):
        webhook.read(body + b" ", fake.signature(body))
    with pytest.raises(InvalidRequest):
        webhook.read(json.dumps(EVENT, indent=1).encode(), fake.signature(body))


def test_while_a_secret_is_rolled_either_signature_will_do(
    fake: FakeStripe, webhook: StripeWebhook
) -> None:
    body = json.dumps(EVENT).encode()
    ours = fake.signature(body).split(",")[1]
    other = fake.signature(body, secret="whsec_old").split(",")[1]
    assert webhook.read(body, f"t={NOW},{other},{ours}").is_ours
    assert webhook.read(body, f" t={NOW} , {ours} ").is_ours
    with pytest.raises(InvalidRequest):
        webhook.read(body, f"t={NOW},{other}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        f"t={NOW}",
        "v1=00",
        f"t={NOW},v1=",
        f"t={NOW},v1=00",
        f"t={NOW},v0=00",
        f"t=-{NOW},v1=00",
        f"t={NOW}.5,v1=00",
        "t=९,v1=00",
        f"t={NOW},v1=\u00e9\ud800",
        "t=9999999999999999999,v1=00",
        "," * 10_000,
    ],
)
def test_what_is_not_signed_is_refused(webhook: StripeWebhook, header: str) -> None:
    with pytest.raises(InvalidRequest):
        webhook.read(json.dumps(EVENT).encode(), header)


@given(header=st.text(), body=st.binary())
def test_no_header_and_no_body_breaks_it(header: str, body: bytes) -> None:
    webhook = StripeWebhook("whsec_fake", is_live=False)
    with pytest.raises(InvalidRequest):
        webhook.read(body, header)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"evt_1"',
        b"\xff\xfe",
        b"{}",
        b'{"id": 1, "type": "invoice.paid"}',
        b'{"id": "evt_1"}',
        b'{"id": "evt_1", "type": ""}',
        b'{"id": "evt/1", "type": "invoice.paid"}',
        b'{"id": "evt_1", "type": "invoice.paid", "data": {"object": "in_1"}}',
        b'{"id": "evt_1", "type": "invoice.paid", "data": ["object"]}',
        b'{"id": "evt_1", "type": "invoice.paid", "created": 99999999999999999}',
        b"[" * 100_000,
    ],
)
def test_what_is_signed_but_no_event_is_refused(
    fake: FakeStripe, webhook: StripeWebhook, body: bytes
) -> None:
    with pytest.raises(InvalidRequest):
        webhook.read(body, fake.signature(body))


def test_an_event_that_does_not_say_when_is_of_now(
    fake: FakeStripe, webhook: StripeWebhook
) -> None:
    document = {**EVENT, "created": "2026-01-01T00:00:00Z", "data": {}}
    incoming = webhook.read(*signed(fake, document))
    assert incoming.event.created_at == fake.clock()


def test_an_empty_secret_is_no_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        StripeWebhook("", is_live=False)
