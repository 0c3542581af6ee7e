"""A server is killed while it answers: its clients go on at another, and everybody is paid."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from chuk.credits.ledger import Outcome
from chuk.credits.pricing import PriceList
from tests.crash.books import closed_books, give
from tests.crash.twins import Listening, Twins, twins
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import eventually
from tests.redis_server import RedisServer

PRICES = PriceList(Decimal("0.92"), Decimal(0))
GIVEN = 50_000_000
WORDS = [f"word{number} " for number in range(8)]
# It has said half of what it has to say when its server dies.
HALF = Reply(content=WORDS, stall_after=4)
_CONTENT = re.compile(r'"content":"(word\d+ )"')


def said(*listening: Listening) -> str:
    """What the client has read, over all its connections."""
    return "".join(
        _CONTENT.findall("\n".join(frame for each in listening for frame in each.frames))
    )


async def expect_true_books(
    servers: Twins, user: UUID, openrouter: FakeOpenRouter, turns: int
) -> None:
    """Each turn was settled once, at what upstream took for it."""
    account = await closed_books(servers.data, user)
    assert len(account.receipts) == turns
    assert {receipt.usage.outcome for receipt in account.receipts} <= {
        Outcome.INTERRUPTED,
        Outcome.COMPLETED,
    }
    upstream = {name: each.cost for name, each in openrouter.generations.items()}
    for receipt in account.receipts:
        cost = upstream.pop(receipt.usage.generation_id or "")
        assert receipt.charged == PRICES.in_euros(cost)
    assert upstream == {}
    charged = sum(receipt.charged for receipt in account.receipts)
    assert account.purse.available == GIVEN - charged


async def test_a_client_of_a_killed_server_reads_on_at_another_one(
    openrouter: FakeOpenRouter, redis_server: RedisServer, tmp_path: Path
) -> None:
    user = uuid4()
    async with twins(tmp_path, openrouter, redis_server) as servers:
        await give(servers.data, user, GIVEN)
        openrouter.script(HALF)
        async with servers.asked(user) as asked:
            await asked.until("word1 ")
            cut = [
                frame for frame in asked.frames if "word2 " not in frame and "word3 " not in frame
            ]
            asked.frames[:] = cut
            # While it still runs, and when it does not any more.
            async with servers.resumed(user, asked.last_id) as alive:
                await alive.until("word3 ")
                await servers.kill_one()
                await alive.rest()
        async with servers.resumed(user, asked.last_id) as dead:
            await dead.rest()
        for resumed in (alive, dead):
            assert said(asked, resumed) == "".join(WORDS[:4])
            assert "STREAM_INTERRUPTED" in resumed.frames[-1]
            numbers = [*asked.numbers, *resumed.numbers]
            assert numbers == list(range(1, len(numbers) + 1))
        assert alive.frames == dead.frames
        await expect_true_books(servers, user, openrouter, 1)


@pytest.mark.parametrize("streams", [10, pytest.param(200, marks=pytest.mark.slow)])
async def test_every_client_of_a_killed_server_hears_a_clean_end_elsewhere(
    openrouter: FakeOpenRouter, redis_server: RedisServer, tmp_path: Path, streams: int
) -> None:
    user = uuid4()
    async with twins(tmp_path, openrouter, redis_server) as servers, AsyncExitStack() as stack:
        await give(servers.data, user, GIVEN)
        # Half of them would have gone on for ever; the others end while the server dies.
        openrouter.script(
            *(HALF if number % 2 else Reply(content=WORDS, delay=0.05) for number in range(streams))
        )
        asked = await asyncio.gather(
            *(stack.enter_async_context(servers.asked(user)) for _ in range(streams))
        )
        await asyncio.gather(*(each.until("word1 ") for each in asked))
        with redis_server.client() as client:
            # Milliseconds after their beginnings; nothing can be known of what dies before.
            await eventually(lambda: len(client.keys("chuk:stream:*:events")) == streams)
        await servers.kill_one()
        await asyncio.gather(*(each.rest() for each in asked))
        for each in asked:
            if each.is_over:
                assert said(each) == "".join(WORDS)
                continue
            async with servers.resumed(user, each.last_id) as resumed:
                await resumed.rest()
            assert resumed.is_over
            text = said(each, resumed)
            assert "".join(WORDS).startswith(text) and "word1 " in text
            if resumed.frames[-1] == "data: [DONE]":
                assert text == "".join(WORDS)
            else:
                assert "STREAM_INTERRUPTED" in resumed.frames[-1]
        await expect_true_books(servers, user, openrouter, streams)
