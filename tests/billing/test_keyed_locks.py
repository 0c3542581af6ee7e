"""One at a time for each key, and nothing left over."""

from __future__ import annotations

import asyncio

from chuk.billing.keyed_locks import KeyedLocks


async def test_one_at_a_time_for_a_key_and_none_waits_for_another() -> None:
    locks = KeyedLocks()
    inside: list[str] = []
    busiest = 0
    met = asyncio.Barrier(2)

    async def work(key: str) -> None:
        nonlocal busiest
        async with locks.holding(key):
            inside.append(key)
            busiest = max(busiest, inside.count(key))
            await met.wait()
            inside.remove(key)

    # Each wait needs both keys inside at once.
    await asyncio.gather(*(work(key) for key in ("a", "b") for _ in range(5)))
    assert busiest == 1
    assert len(locks) == 0


async def test_who_gives_up_waiting_leaves_nothing() -> None:
    locks = KeyedLocks()
    async with locks.holding("a"):
        waiting = asyncio.create_task(_hold(locks))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(locks) == 1
    assert len(locks) == 0


async def _hold(locks: KeyedLocks) -> None:
    async with locks.holding("a"):
        raise AssertionError("it is held")
