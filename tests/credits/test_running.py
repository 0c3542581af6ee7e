"""Work that is stopped from outside: its caller is told, and nothing is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest

from chuk.credits.ledger import Outcome
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from chuk.credits.service import Credits
from chuk.errors import Forbidden
from tests.credits.books import USER, an_order, receipts

MakeCredits = Callable[..., Credits]


async def test_stopping_a_users_work_gives_all_back_and_waits_for_the_books(
    make_credits: MakeCredits, store: LedgerStore
) -> None:
    service = make_credits()
    began = asyncio.Event()

    async def work() -> None:
        async with service.hold(an_order()), service.hold(an_order("work-2")):
            began.set()
            await asyncio.Event().wait()

    async def others() -> str:
        async with service.hold(an_order("work-3", user_id=UUID(int=8), at_most=MicroEuro(0))):
            await asyncio.sleep(0)
            return "done"

    working, other = asyncio.create_task(work()), asyncio.create_task(others())
    await began.wait()
    await service.stopped(USER)
    assert {receipt.usage.outcome for receipt in await receipts(store)} == {Outcome.CANCELLED}
    assert (await store.purse(USER)).held == 0
    with pytest.raises(Forbidden):
        await working
    assert await other == "done"
    await service.stopped(USER)


async def test_a_time_limit_of_the_work_itself_stays_one(
    make_credits: MakeCredits, store: LedgerStore
) -> None:
    with pytest.raises(TimeoutError):
        async with make_credits().hold(an_order()), asyncio.timeout(0):
            await asyncio.Event().wait()
    assert (await store.purse(USER)).held == 0
