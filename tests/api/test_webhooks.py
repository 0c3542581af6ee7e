"""The webhook, as Stripe sees it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator

import pytest

from chuk.api.webhooks import MAX_BODY
from tests.api.billing_client import SYNC, WEBHOOK, bought, post, status
from tests.conftest import StartServer
from tests.fakes.stripe import FakeStripe, Fault, shuffled_versions
from tests.harness import RunningServer


@pytest.fixture
async def stripe() -> AsyncIterator[FakeStripe]:
    """A fake Stripe, running."""
    async with FakeStripe() as running:
        yield running


@pytest.fixture
async def server(start_server: StartServer, stripe: FakeStripe) -> AsyncIterator[RunningServer]:
    """A server that bills."""
    async with start_server(euros=0, **stripe.environ()) as running:
        yield running


async def send(server: RunningServer, body: bytes, signature: str | None) -> tuple[int, str | None]:
    """Post a body; returns the status and the code of the error."""
    headers = {"Content-Type": "application/json"}
    if signature is not None:
        headers["Stripe-Signature"] = signature
    async with server.client.post(f"{server.url}{WEBHOOK}", data=body, headers=headers) as answer:
        document = await answer.json()
        return answer.status, document.get("error", {}).get("code")


async def test_a_whole_life_arrives_twice_shuffled_and_at_once(
    server: RunningServer, stripe: FakeStripe
) -> None:
    subscription = await bought(server, stripe)
    stripe.account.renew(subscription["id"])
    stripe.account.refund(subscription["latest_invoice"], 500)
    events = list(stripe.account.events.values())
    random.shuffle(events)
    codes = await stripe.deliver(f"{server.url}{WEBHOOK}", *events, at_once=True, times=2)
    assert set(codes) == {200}
    shown = await status(server)
    assert (shown["credits_remaining"], shown["credits_total"]) == (12.0, 16.0)
    assert shown["subscription_status"] == "active"
    assert shown == (await post(server, SYNC))[1]


async def test_an_event_of_another_version_is_as_good(
    server: RunningServer, stripe: FakeStripe
) -> None:
    await bought(server, stripe)
    (event,) = stripe.account.events_of("customer.subscription.created")
    _, older = shuffled_versions(event)
    assert await stripe.deliver(f"{server.url}{WEBHOOK}", older) == [200]
    shown = await status(server)
    assert (shown["subscription_status"], shown["credits_remaining"]) == ("active", 16.0)


async def test_what_could_not_be_applied_is_5xx_and_nothing_is_lost(
    server: RunningServer, stripe: FakeStripe
) -> None:
    await bought(server, stripe)
    url = f"{server.url}{WEBHOOK}"
    (event,) = stripe.account.events_of("invoice.paid")
    stripe.fail(Fault.NONSENSE, times=None)
    assert await stripe.deliver(url, event) == [502]
    stripe.mend()
    assert (await status(server))["credits_remaining"] == 0
    assert await stripe.deliver(url, event, times=2) == [200, 200]
    assert (await status(server))["credits_remaining"] == 16.0


async def test_a_body_that_is_not_signed_as_it_should_be_is_refused(
    server: RunningServer, stripe: FakeStripe
) -> None:
    body = json.dumps({"id": "evt_1", "type": "invoice.paid"}).encode()
    now = int(time.time())
    good = stripe.signature(body, at=now)
    refused = (400, "INVALID_REQUEST")
    assert await send(server, body, None) == refused
    assert await send(server, body, "") == refused
    assert await send(server, body, "t=1,v1=00") == refused
    assert await send(server, body, stripe.signature(body, at=now, secret="x")) == refused
    assert await send(server, body, stripe.signature(body, at=now - 400)) == refused
    assert await send(server, body + b" ", good) == refused
    assert await send(server, b"", good) == refused
    assert stripe.calls == []
    assert await send(server, body, good) == (200, None)


async def test_a_signed_body_that_is_no_event_is_refused(
    server: RunningServer, stripe: FakeStripe
) -> None:
    for body in (b"", b"{", b"[]", b"<xml/>", b"\xff\xfe", b"{}"):
        signature = stripe.signature(body, at=int(time.time()))
        assert await send(server, body, signature) == (400, "INVALID_REQUEST")


async def test_a_body_over_the_limit_is_refused(server: RunningServer, stripe: FakeStripe) -> None:
    event = b'{"id": "evt_1", "type": "x.y", "pad": "%s"}'
    fits = event % (b"x" * (MAX_BODY - len(event) + 2))
    assert len(fits) == MAX_BODY
    assert await send(server, fits, stripe.signature(fits, at=int(time.time()))) == (200, None)
    large = fits + b" "
    signature = stripe.signature(large, at=int(time.time()))
    assert await send(server, large, signature) == (413, "FILE_TOO_LARGE")


async def test_without_a_key_stripe_is_asked_to_send_its_event_again(
    start_server: StartServer, stripe: FakeStripe
) -> None:
    async with start_server(euros=0) as server:
        body = b'{"id": "evt_1", "type": "invoice.paid"}'
        signature = stripe.signature(body, at=int(time.time()))
        assert await send(server, body, signature) == (503, "FEATURE_DISABLED")
