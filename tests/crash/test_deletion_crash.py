"""A deletion that the server does not survive: locked from its record on, and erased in the end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from tests.crash.books import closed_books, dump, ledger_of
from tests.crash.customers import Customer
from tests.crash.servers import Mortal, die_at_every_commit
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.fakes.stripe import FakeStripe
from tests.harness import MODEL, eventually, openrouter_environ

QUICKLY = {
    "CHUK_DELETION_INTERVAL": "0.1",
    "CHUK_DELETION_FIRST_RETRY": "0.1",
    "CHUK_DELETION_LEASE": "1",
    "CHUK_CREDITS_HOLD_LEASE": "0.6",
    "CHUK_CREDITS_RECONCILE_INTERVAL": "0.2",
    "CHUK_LIMIT_OTHER": "100000",
}
_PATIENCE = 20.0


class Leaving:
    """A subscriber with a receipt who asks to be forgotten, perhaps in the middle of a chat."""

    def __init__(
        self, server: Mortal, openrouter: FakeOpenRouter, stripe: FakeStripe, *, is_chatting: bool
    ) -> None:
        self._server = server
        self._openrouter = openrouter
        self._stripe = stripe
        self._is_chatting = is_chatting
        self._was_answered = False
        self._customer: Customer | None = None
        self._stream: aiohttp.ClientResponse | None = None

    async def arrive(self) -> None:
        """A new user with a history."""
        self._was_answered = False
        self._customer = Customer(self._server, self._stripe, uuid4())
        await self._customer.subscribe()
        async with await self._chat() as response:
            await response.read()
        await closed_books(self._server.data, self.customer.user)
        if self._is_chatting:
            self._openrouter.script(Reply(content=["word "] * 8, stall_after=3))
            self._stream = await self._chat()
            async for data in self._stream.content.iter_any():
                if b"content" in data:
                    break

    async def play(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            while await self._pending():
                pass

    async def check(self, moment: str, number: int) -> None:
        status = await self._status()
        assert status in (200, 403)
        if self._was_answered or (not self._is_chatting and (moment, number) != ("before", 1)):
            assert status == 403
        if status == 200:
            await self._pending()
        # From its record on nobody has to ask again.
        await eventually(lambda: not self._is_known(), timeout=_PATIENCE)
        assert await self._pending() == []
        assert await self._status() == 403
        assert self.customer.at_stripe() == []
        assert self._stripe.account.subscriptions
        for subscription in self._stripe.account.subscriptions.values():
            assert subscription["status"] == "canceled"
        async with ledger_of(self._server.data) as ledger:
            assert await ledger.verify() == []
        if self._stream is not None:
            self._stream.close()
        await self._openrouter.wait_until(lambda: self._openrouter.open_completions == 0)
        await self.arrive()

    @property
    def customer(self) -> Customer:
        assert self._customer is not None
        return self._customer

    def _is_known(self) -> bool:
        """Whether any table still names the user."""
        return self.customer.user.hex.upper() in dump(self._server.data).upper()

    async def _chat(self) -> aiohttp.ClientResponse:
        response = await self._server.client.post(
            f"{self._server.url}/v1/ai/chat",
            json={"model_id": MODEL, "message": "Hello", "max_tokens": 500},
            headers=self.customer.headers,
        )
        assert response.status == 200, await response.text()
        return response

    async def _pending(self) -> list[str]:
        async with self._server.client.delete(
            f"{self._server.url}/v1/user/delete-account", headers=self.customer.headers
        ) as response:
            assert response.status == 200, await response.text()
            body = await response.json()
        assert body["data"]["deleted"] is True
        self._was_answered = True
        pending: list[str] = body["data"]["pending"]
        return pending

    async def _status(self) -> int:
        async with self._server.client.get(
            f"{self._server.url}/v1/ai/models", headers=self.customer.headers
        ) as response:
            return response.status


@pytest.mark.parametrize(
    ("moment", "is_chatting"),
    [
        ("before", False),
        ("after", True),
        pytest.param("after", False, marks=pytest.mark.slow),
        pytest.param("before", True, marks=pytest.mark.slow),
    ],
)
async def test_a_deletion_is_finished_at_whatever_commit_the_server_dies(
    openrouter: FakeOpenRouter,
    stripe: FakeStripe,
    tmp_path: Path,
    moment: str,
    is_chatting: bool,
) -> None:
    environ = {**openrouter_environ(openrouter), **stripe.environ(), **QUICKLY}
    async with Mortal(tmp_path, environ) as server:
        leaving = Leaving(server, openrouter, stripe, is_chatting=is_chatting)
        await leaving.arrive()
        # Its record, the lease, each step and its mark, the end.
        assert await die_at_every_commit(server, leaving, moment) >= 7
