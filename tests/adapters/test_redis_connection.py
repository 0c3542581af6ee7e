"""The way to Redis: what an outage costs, what is said of it, and how it heals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from tests.harness import eventually
from tests.redis_server import RedisServer


@asynccontextmanager
async def connected(server: RedisServer, *, timeout: float = 5.0) -> AsyncIterator[RedisConnection]:
    """A connection that looks often whether Redis is back."""
    connection = RedisConnection(server.url, timeout=timeout, look_interval=0.01)
    try:
        yield connection
    finally:
        await connection.close()


async def count(client: Redis) -> int:
    """One call that changes something."""
    counted: int = await client.incr("counted")
    return counted


async def test_calls_are_answered(redis_server: RedisServer) -> None:
    async with connected(redis_server) as connection:
        assert [await connection.run(count) for _ in range(3)] == [1, 2, 3]
        assert not connection.is_away


async def test_an_outage_is_said_once_and_heals_by_itself(redis_server: RedisServer) -> None:
    async with connected(redis_server) as connection:
        await connection.run(count)
        with capture_logs() as lines:
            redis_server.stop()
            for _ in range(5):
                with pytest.raises(RedisAway):
                    await connection.run(count)
            assert connection.is_away
            redis_server.start()
            await eventually(lambda: not connection.is_away)
        assert await connection.run(count) == 1
        assert [line["event"] for line in lines] == ["redis_away", "redis_back"]
        assert connection.outages == 1
        assert connection.failures >= 5


async def test_a_redis_that_hangs_is_waited_for_only_once(redis_server: RedisServer) -> None:
    async with connected(redis_server, timeout=0.05) as connection:
        redis_server.freeze()
        for _ in range(1000):
            with pytest.raises(RedisAway):
                await connection.run(count)
        assert connection.outages == 1
        redis_server.thaw()
        await eventually(lambda: not connection.is_away)


async def test_a_restarted_redis_is_no_outage_for_who_did_not_call(
    redis_server: RedisServer,
) -> None:
    async with connected(redis_server) as connection:
        await connection.run(count)
        redis_server.stop()
        redis_server.start()
        for _ in range(5):
            # Starting it has blocked the loop, which could not see the old connection close.
            await asyncio.sleep(0)
        assert await connection.run(count) == 1
        assert connection.outages == 0


async def test_a_refusal_is_no_outage(redis_server: RedisServer) -> None:
    async with connected(redis_server) as connection:
        await connection.run(count)
        with capture_logs() as lines:
            with redis_server.client() as client:
                client.config_set("maxmemory", 1)
            for _ in range(3):
                with pytest.raises(RedisAway):
                    await connection.run(count)
        assert not connection.is_away
        assert [line["event"] for line in lines] == ["redis_refuses"]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://:hush@redis.example:6380/2", "redis://redis.example:6380/2"),
        ("rediss://name:hush@redis.example", "rediss://redis.example"),
        ("unix://:hush@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
async def test_its_address_is_told_without_the_password(url: str, address: str) -> None:
    connection = RedisConnection(url, timeout=1)
    assert connection.address == address
    await connection.close()
