"""What every limiter of requests promises, in memory and in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from chuk.adapters.redis.connection import RedisConnection
from chuk.adapters.redis.limits import RedisRateLimits
from chuk.web.limits import WINDOW, MemoryRateLimits, RateLimits
from tests.redis_server import RedisServer

# So slow that nothing drips while a test runs, and so quick that it need not wait long.
PER_MINUTE = {"one": 1, "two": 2, "three": 3, "seven": 7, "quick": 600}

MakeLimits = Callable[[], RateLimits]


@pytest.fixture
async def connection(redis_server: RedisServer) -> AsyncIterator[RedisConnection]:
    """A way to a Redis that is empty."""
    connection = RedisConnection(redis_server.url, timeout=10)
    yield connection
    await connection.close()


@pytest.fixture(params=["memory", "redis"])
def limits(request: pytest.FixtureRequest) -> RateLimits:
    """Limits of which nothing has been taken, once of each kind."""
    if request.param == "memory":
        return MemoryRateLimits(PER_MINUTE)
    return RedisRateLimits(request.getfixturevalue("connection"), PER_MINUTE)


async def until_allowed(take: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it passes."""
    async with asyncio.timeout(30):
        while not await take():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def test_a_full_bucket_may_burst_and_no_more(limits: RateLimits) -> None:
    burst = [await limits.take("seven", "a") for _ in range(9)]
    assert [decision.allowed for decision in burst] == [True] * 7 + [False] * 2
    assert [decision.remaining for decision in burst] == [6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert {decision.limit for decision in burst} == {7}


async def test_requests_at_the_same_time_share_one_bucket(limits: RateLimits) -> None:
    decisions = await asyncio.gather(*(limits.take("three", "a") for _ in range(100)))
    assert sum(decision.allowed for decision in decisions) == 3


async def test_a_refusal_says_when_the_next_one_passes(limits: RateLimits) -> None:
    for seconds, bucket in ((60, "one"), (30, "two"), (20, "three")):
        for _ in range(PER_MINUTE[bucket]):
            assert (await limits.take(bucket, "a")).retry_after == 0
        refused = await limits.take(bucket, "a")
        assert not refused.allowed
        assert seconds - 5 < refused.retry_after <= seconds


async def test_it_says_when_the_bucket_will_be_empty(limits: RateLimits) -> None:
    before = time.time()
    first = await limits.take("two", "a")
    second = await limits.take("two", "a")
    refused = await limits.take("two", "a")
    assert before + WINDOW / 2 - 1 <= first.resets_at <= time.time() + WINDOW / 2 + 1
    assert second.resets_at - first.resets_at in (WINDOW // 2, WINDOW // 2 + 1)
    # A refused request fills nothing.
    assert refused.resets_at <= second.resets_at + 1


async def test_what_has_dripped_may_pass(limits: RateLimits) -> None:
    while (await limits.take("quick", "a")).allowed:
        pass
    for _ in range(2):

        async def take() -> bool:
            return (await limits.take("quick", "a")).allowed

        await until_allowed(take)


async def test_kinds_and_people_are_counted_apart(limits: RateLimits) -> None:
    for bucket in ("one", "two"):
        for key in ("a", "b"):
            for _ in range(PER_MINUTE[bucket]):
                assert (await limits.take(bucket, key)).allowed
            assert not (await limits.take(bucket, key)).allowed


async def test_a_kind_that_does_not_exist_is_a_mistake(limits: RateLimits) -> None:
    with pytest.raises(KeyError):
        await limits.take("nothing", "a")
