"""A payment that the server does not survive: granted once, whenever its events arrive."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from tests.crash.books import closed_books, entries, pending_events
from tests.crash.customers import Customer
from tests.crash.servers import Mortal, die_at_every_commit
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.stripe import FakeStripe
from tests.harness import openrouter_environ

CREDITS = 16_000_000


class Paying:
    """A new user asks for the page, pays, and Stripe tells the server."""

    def __init__(self, server: Mortal, stripe: FakeStripe) -> None:
        self._server = server
        self._stripe = stripe
        self._customer: Customer | None = None

    async def play(self) -> None:
        self._customer = Customer(self._server, self._stripe, uuid4())
        await self._customer.subscribe()

    async def check(self, moment: str, number: int) -> None:
        customer = self._customer
        assert customer is not None
        # What broke off is done again, as the app and Stripe do; and Stripe says it all once more.
        await customer.subscribe()
        assert set(await customer.tell(times=2)) == {200}
        account = await closed_books(self._server.data, customer.user)
        assert (account.purse.available, account.purse.allocated) == (CREDITS, CREDITS)
        assert entries(self._server.data, customer.user) == [("grant", CREDITS)]
        assert pending_events(self._server.data) == []
        assert len(customer.at_stripe()) == 1
        async with self._server.client.get(
            f"{self._server.url}/v1/user/status", headers=customer.headers
        ) as response:
            status = (await response.json())["data"]
        assert (status["subscription_status"], status["credits_remaining"]) == ("active", 16.0)


@pytest.mark.parametrize("moment", ["before", pytest.param("after", marks=pytest.mark.slow)])
async def test_a_payment_is_granted_once_at_whatever_commit_the_server_dies(
    openrouter: FakeOpenRouter, stripe: FakeStripe, tmp_path: Path, moment: str
) -> None:
    environ = {
        **openrouter_environ(openrouter),
        **stripe.environ(),
        "CHUK_LIMIT_OTHER": "100000",
    }
    async with Mortal(tmp_path, environ) as server:
        # The customer, each event and its mark, the subscription, the grant.
        assert await die_at_every_commit(server, Paying(server, stripe), moment) >= 5
