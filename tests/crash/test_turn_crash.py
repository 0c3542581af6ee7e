"""A turn that the server does not survive: paid for once, at what upstream charged, or not."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chuk.credits.ledger import Basis, Outcome
from chuk.credits.pricing import PriceList
from tests.crash.books import closed_books, give
from tests.crash.servers import Mortal, die_at_every_commit
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, openrouter_environ

PRICES = PriceList(Decimal("0.92"), Decimal(0))
GIVEN = 1_000_000
# An answer that takes long enough for the hold's progress to be noted while it runs.
ANSWER = Reply(content=[f"word{number} " for number in range(8)], delay=0.03)
QUICKLY = {
    "CHUK_CREDITS_HOLD_LEASE": "0.6",
    "CHUK_CREDITS_RECONCILE_INTERVAL": "0.2",
    "CHUK_LIMIT_OTHER": "100000",
}


class Turn:
    """One chat of a new user, with credits or with a free message."""

    def __init__(self, server: Mortal, openrouter: FakeOpenRouter, *, has_credits: bool) -> None:
        self._server = server
        self._openrouter = openrouter
        self._has_credits = has_credits
        self._user = UUID(int=0)
        self._generations_before: set[str] = set()
        self.recovered = 0

    async def play(self) -> None:
        self._user = uuid4()
        self._generations_before = set(self._openrouter.generations)
        if self._has_credits:
            await give(self._server.data, self._user, GIVEN)
        self._openrouter.script(ANSWER)
        async with self._server.client.post(
            f"{self._server.url}/v1/ai/chat",
            json={"model_id": MODEL, "message": "Hello", "max_tokens": 500},
            headers=self._server.bearer(self._user),
        ) as response:
            assert response.status == 200, await response.text()
            assert (await response.read()).endswith(b"data: [DONE]\n\n")
        account = await closed_books(self._server.data, self._user)
        assert [receipt.usage.outcome for receipt in account.receipts] == [Outcome.COMPLETED]

    async def check(self, moment: str, number: int) -> None:
        await self._openrouter.wait_until(lambda: self._openrouter.open_completions == 0)
        account = await closed_books(self._server.data, self._user)
        assert len(account.receipts) <= 1
        given = GIVEN if self._has_credits else 0
        charged = sum(receipt.charged for receipt in account.receipts)
        assert account.purse.available == given - charged
        assert account.purse.held == 0
        upstream = {
            name: generation.cost
            for name, generation in self._openrouter.generations.items()
            if name not in self._generations_before
        }
        for receipt in account.receipts:
            cost = upstream.pop(receipt.usage.generation_id or "", None)
            self.recovered += receipt.usage.outcome is Outcome.INTERRUPTED
            if not self._has_credits:
                assert receipt.is_free_message and receipt.charged == 0
                gave_nothing = receipt.usage.outcome is Outcome.FAILED
                assert account.purse.free_used == (0 if gave_nothing else 1)
            elif cost is None:
                assert (receipt.charged, receipt.usage.basis) == (0, Basis.NOTHING)
            else:
                assert receipt.charged == PRICES.in_euros(cost)
        # What upstream charged before its name for the request was noted is ours to bear, never
        # the user's.
        if upstream:
            assert [receipt.usage.generation_id for receipt in account.receipts] == [None]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_turn_is_paid_for_once_at_whatever_commit_the_server_dies(
    openrouter: FakeOpenRouter, tmp_path: Path, moment: str
) -> None:
    async with Mortal(tmp_path, {**openrouter_environ(openrouter), **QUICKLY}) as server:
        turn = Turn(server, openrouter, has_credits=True)
        # The hold, what upstream calls it, the settling.
        assert await die_at_every_commit(server, turn, moment) >= 3
        assert turn.recovered >= 1


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_free_message_is_used_once_at_whatever_commit_the_server_dies(
    openrouter: FakeOpenRouter, tmp_path: Path, moment: str
) -> None:
    async with Mortal(tmp_path, {**openrouter_environ(openrouter), **QUICKLY}) as server:
        turn = Turn(server, openrouter, has_credits=False)
        assert await die_at_every_commit(server, turn, moment) >= 2
