"""The billing routes as the released app calls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.api.billing_client import BARE, CHECKOUT, JSON, PORTAL, SYNC, bought, post, status
from tests.conftest import StartServer
from tests.fakes.stripe import FakeStripe, Fault
from tests.harness import RunningServer

ROUTES = [CHECKOUT, PORTAL, SYNC]


@pytest.fixture
async def stripe() -> AsyncIterator[FakeStripe]:
    """A fake Stripe, running."""
    async with FakeStripe() as running:
        yield running


@pytest.fixture
async def server(start_server: StartServer, stripe: FakeStripe) -> AsyncIterator[RunningServer]:
    """A server that bills."""
    async with start_server(
        euros=0, CHUK_APP_URL="https://app.chuk.test/", **stripe.environ()
    ) as running:
        yield running


async def test_a_checkout_leads_to_stripe_and_back_to_the_app(
    server: RunningServer, stripe: FakeStripe
) -> None:
    code, answer = await post(server, CHECKOUT)
    assert code == 200
    (session,) = stripe.account.sessions.values()
    assert answer == {"checkout_url": session["url"]}
    assert session["success_url"] == "https://app.chuk.test/billing/success"
    assert session["cancel_url"] == "https://app.chuk.test/billing/cancel"


async def test_without_an_address_of_the_app_people_come_back_to_this_server(
    start_server: StartServer, stripe: FakeStripe
) -> None:
    async with start_server(euros=0, **stripe.environ()) as server:
        await post(server, CHECKOUT)
        (session,) = stripe.account.sessions.values()
        assert session["success_url"] == f"{server.url}/billing/success"


async def test_two_clicks_at_once_make_one_customer(
    server: RunningServer, stripe: FakeStripe
) -> None:
    answers = await asyncio.gather(*(post(server, CHECKOUT) for _ in range(4)))
    assert {code for code, _ in answers} == {200}
    assert len({answer["checkout_url"] for _, answer in answers}) == 1
    assert len(stripe.account.customers) == 1


async def test_a_sync_answers_as_the_status_does(server: RunningServer, stripe: FakeStripe) -> None:
    await bought(server, stripe)
    code, answer = await post(server, SYNC)
    assert code == 200
    assert answer["has_subscription"] is True
    assert (answer["credits_remaining"], answer["credits_total"]) == (16.0, 16.0)
    assert answer == await status(server)


async def test_a_sync_of_somebody_who_never_subscribed_is_no_error(server: RunningServer) -> None:
    code, answer = await post(server, SYNC)
    assert code == 200
    assert answer == {
        "has_subscription": False,
        "current_plan": None,
        "credits_remaining": 0.0,
        "credits_total": 0.0,
        "subscription_status": "none",
        "current_period_end": None,
        "cancel_at_period_end": False,
        "free_messages_remaining": 10,
        "free_messages_total": 10,
    }


async def test_a_subscriber_cannot_subscribe_again_but_can_manage(
    server: RunningServer, stripe: FakeStripe
) -> None:
    await bought(server, stripe)
    code, answer = await post(server, CHECKOUT)
    assert (code, answer["error"]["code"]) == (409, "ALREADY_SUBSCRIBED")
    code, answer = await post(server, PORTAL)
    assert code == 200
    assert answer["portal_url"].startswith("https://billing.stripe.test/")


async def test_there_is_no_portal_without_a_customer(server: RunningServer) -> None:
    code, answer = await post(server, PORTAL)
    assert (code, answer["error"]["code"]) == (404, "NO_SUBSCRIPTION")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("body", [b"", b"{}", b" {} ", b'{"plan": "pro"}'])
async def test_an_empty_body_and_an_object_are_accepted(
    server: RunningServer, path: str, body: bytes
) -> None:
    code, _ = await post(server, path, data=body)
    assert code == (404 if path == PORTAL else 200)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"plan=pro", b"\xff"])
async def test_a_malformed_body_is_refused(
    server: RunningServer, stripe: FakeStripe, path: str, body: bytes
) -> None:
    code, answer = await post(server, path, data=body)
    assert (code, answer["error"]["code"]) == (400, "INVALID_REQUEST")
    assert stripe.writes() == []


@pytest.mark.parametrize("path", ROUTES)
async def test_a_body_that_is_too_large_is_refused(server: RunningServer, path: str) -> None:
    code, answer = await post(server, path, data=b" " * 70_000)
    assert (code, answer["error"]["code"]) == (413, "FILE_TOO_LARGE")


@pytest.mark.parametrize("path", ROUTES)
async def test_no_content_type_is_fine_too(server: RunningServer, path: str) -> None:
    async with server.client.post(
        f"{server.url}{path}", headers={**server.bearer(), **BARE}
    ) as answer:
        assert answer.status == (404 if path == PORTAL else 200)


@pytest.mark.parametrize("path", ROUTES)
async def test_a_stranger_is_asked_to_sign_in(server: RunningServer, path: str) -> None:
    async with server.client.post(f"{server.url}{path}", headers=JSON) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("fault", "code", "name"),
    [
        (Fault.CARD, 402, "BILLING_ERROR"),
        (Fault.INVALID, 402, "BILLING_ERROR"),
        (Fault.KEY, 502, "PROVIDER_ERROR"),
        (Fault.NONSENSE, 502, "PROVIDER_ERROR"),
        (Fault.BUSY, 503, "SERVICE_UNAVAILABLE"),
    ],
)
async def test_a_failure_of_stripe_is_told_clearly(
    server: RunningServer, stripe: FakeStripe, fault: Fault, code: int, name: str
) -> None:
    stripe.fail(fault, times=None)
    got, answer = await post(server, CHECKOUT)
    assert (got, answer["error"]["code"]) == (code, name)
    assert "payment provider" in answer["detail"]
    stripe.mend()
    assert (await post(server, CHECKOUT))[0] == 200


async def test_a_slow_stripe_is_a_timeout(start_server: StartServer, stripe: FakeStripe) -> None:
    async with start_server(euros=0, CHUK_STRIPE_TIMEOUT="0.1", **stripe.environ()) as server:
        stripe.fail(Fault.SLOW, times=None)
        code, answer = await post(server, CHECKOUT)
        assert (code, answer["error"]["code"]) == (504, "PROVIDER_TIMEOUT")


@pytest.mark.parametrize("path", ROUTES)
async def test_without_a_key_billing_says_that_it_is_off(
    start_server: StartServer, path: str
) -> None:
    async with start_server(euros=0) as server:
        code, answer = await post(server, path)
        assert (code, answer["error"]["code"]) == (503, "FEATURE_DISABLED")
        async with server.client.post(f"{server.url}{path}", headers=JSON) as stranger:
            assert stranger.status == 401
        shown = await status(server)
        assert (shown["subscription_status"], shown["free_messages_remaining"]) == ("none", 10)
