"""A server that bills, and its Stripe."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from chuk.accounts.issuer import DEFAULT_USER
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe_objects import Object
from tests.harness import RunningServer

CHECKOUT = "/v1/stripe/create-checkout-session"
PORTAL = "/v1/stripe/create-portal-session"
SYNC = "/v1/stripe/sync-subscription"
STATUS = "/v1/user/status"
WEBHOOK = "/webhooks/stripe"

BARE = {"Accept": "application/json; profile=bare"}
JSON = {"Content-Type": "application/json"}


async def post(
    server: RunningServer,
    path: str,
    *,
    user: UUID = DEFAULT_USER,
    data: bytes = b"",
    **headers: str,
) -> tuple[int, Any]:
    """Ask as the app does: a JSON content type and, unless said otherwise, an empty body."""
    sent = {**server.bearer(user), **BARE, **JSON, **headers}
    async with server.client.post(f"{server.url}{path}", data=data, headers=sent) as answer:
        return answer.status, await answer.json()


async def status(server: RunningServer, user: UUID = DEFAULT_USER) -> Any:
    """What the user is told to have."""
    headers = {**server.bearer(user), **BARE}
    async with server.client.get(f"{server.url}{STATUS}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def bought(server: RunningServer, stripe: FakeStripe, user: UUID = DEFAULT_USER) -> Object:
    """Subscribe on the page that the server gives out; no event is delivered yet."""
    code, answer = await post(server, CHECKOUT, user=user)
    assert code == 200, answer
    return stripe.account.complete_checkout(answer["checkout_url"].rpartition("/")[2])
