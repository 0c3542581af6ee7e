"""Rate limits in Redis: what processes share, what an outage changes, and what is left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from structlog.testing import capture_logs

from chuk.adapters.redis.connection import RedisConnection
from chuk.adapters.redis.limits import RedisRateLimits
from tests.harness import eventually
from tests.redis_server import RedisServer

ALICE = str(UUID(int=1))
PER_MINUTE = {"two": 2, "image": 10}


@asynccontextmanager
async def process(
    server: RedisServer, *, timeout: float = 5.0
) -> AsyncIterator[tuple[RedisRateLimits, RedisConnection]]:
    """The limits of one process, which looks often whether Redis is back."""
    connection = RedisConnection(server.url, timeout=timeout, look_interval=0.01)
    try:
        yield RedisRateLimits(connection, PER_MINUTE), connection
    finally:
        await connection.close()


async def test_processes_share_one_bucket(redis_server: RedisServer) -> None:
    async with process(redis_server) as (one, _), process(redis_server) as (other, _):
        assert (await one.take("two", ALICE)).remaining == 1
        assert (await other.take("two", ALICE)).remaining == 0
        assert not (await one.take("two", ALICE)).allowed


async def test_a_bucket_is_forgotten_when_it_has_run_empty(redis_server: RedisServer) -> None:
    async with process(redis_server) as (limits, _):
        for taken in (1, 2, 2):
            await limits.take("two", ALICE)
            with redis_server.client() as client:
                (key,) = client.keys("*")
                assert (taken - 1) * 30_000 < client.pttl(key) <= taken * 30_000


async def test_redis_does_not_learn_who_asks(redis_server: RedisServer) -> None:
    async with process(redis_server) as (limits, _):
        await limits.take("two", ALICE)
        await limits.take("two", "192.0.2.7")
    with redis_server.client() as client:
        kept = b" ".join(client.keys("*"))
    assert ALICE.encode() not in kept and b"192.0.2.7" not in kept


async def test_while_redis_is_away_each_process_counts_for_itself(
    redis_server: RedisServer,
) -> None:
    async with process(redis_server) as (one, connection), process(redis_server) as (other, _):
        assert (await one.take("two", ALICE)).allowed
        with capture_logs() as lines:
            redis_server.stop()
            for limits in (one, other):
                taken = [(await limits.take("two", ALICE)).allowed for _ in range(4)]
                assert taken == [True, True, False, False]
            assert (one.alone, other.alone) == (4, 4)
            redis_server.start()
            await eventually(lambda: not connection.is_away)
            assert (await one.take("two", ALICE)).remaining == 1
        said = [line["event"] for line in lines if line["part"] == "limits"]
        assert said == ["limits_not_shared", "limits_not_shared", "limits_shared_again"]


async def test_a_redis_that_hangs_delays_one_request_and_not_each(
    redis_server: RedisServer,
) -> None:
    async with process(redis_server, timeout=0.05) as (limits, connection):
        redis_server.freeze()
        for _ in range(2_000):
            await limits.take("image", ALICE)
        # Each of them waiting for its time-out would be a hundred seconds.
        assert connection.outages == 1
        assert limits.alone == 2_000


async def test_a_redis_without_memory_is_as_if_it_were_away(redis_server: RedisServer) -> None:
    async with process(redis_server) as (limits, connection):
        await limits.take("two", ALICE)
        with redis_server.client() as client:
            client.config_set("maxmemory", 1)
        assert [(await limits.take("two", ALICE)).allowed for _ in range(3)] == [True, True, False]
        assert not connection.is_away
