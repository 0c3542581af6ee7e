"""Accounts and billing on a server that has neither: an answer that says so."""

from __future__ import annotations

import pytest

from chuk.web.envelope import Profile
from tests.harness import RunningServer

_ROUTES = [
    ("GET", "/v1/user/status"),
    ("DELETE", "/v1/user/delete-account"),
    ("POST", "/v1/stripe/create-checkout-session"),
    ("POST", "/v1/stripe/create-portal-session"),
    ("POST", "/v1/stripe/sync-subscription"),
]


@pytest.mark.parametrize(("method", "path"), _ROUTES)
@pytest.mark.parametrize("profile", Profile)
async def test_a_signed_in_user_learns_that_it_is_switched_off(
    server: RunningServer, method: str, path: str, profile: Profile
) -> None:
    # As the app sends it: a content type for JSON, and an empty body.
    headers = {
        **server.bearer(),
        "Accept": profile.content_type,
        "Content-Type": "application/json",
    }
    async with server.client.request(method, f"{server.url}{path}", headers=headers) as answer:
        assert answer.status == 503
        body = await answer.json()
    assert body["error"]["code"] == "FEATURE_DISABLED"
    assert body["error"]["message"] == body.get("detail", body["error"]["message"])


@pytest.mark.parametrize(("method", "path"), _ROUTES)
async def test_a_stranger_learns_nothing(server: RunningServer, method: str, path: str) -> None:
    async with server.client.request(method, f"{server.url}{path}") as answer:
        assert answer.status == 401


async def test_stripe_is_asked_to_send_its_event_again(server: RunningServer) -> None:
    async with server.client.post(
        f"{server.url}/webhooks/stripe",
        json={"type": "invoice.paid"},
        headers={"Stripe-Signature": "t=1,v1=00"},
    ) as answer:
        assert answer.status == 503
        assert (await answer.json())["error"]["code"] == "FEATURE_DISABLED"
