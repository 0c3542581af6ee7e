"""The processes that show themselves in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chuk.adapters.redis.connection import RedisConnection
from chuk.adapters.redis.presence import RedisPresence
from tests.harness import eventually
from tests.redis_server import RedisServer


@asynccontextmanager
async def process(
    server: RedisServer, name: str, carries: int, *, alive_for: float = 5.0
) -> AsyncIterator[RedisPresence]:
    """The presence of one process that has started, and shows itself often."""
    connection = RedisConnection(server.url, timeout=5, look_interval=0.01)
    presence = RedisPresence(connection, name, lambda: carries, interval=0.02, alive_for=alive_for)
    await presence.start()
    try:
        yield presence
    finally:
        await presence.close()
        await connection.close()


async def test_each_process_knows_what_the_others_carry(redis_server: RedisServer) -> None:
    async with process(redis_server, "a", 5) as a, process(redis_server, "b", 70) as b:
        await eventually(lambda: (a.others, b.others) == (70, 5))
        assert await a.count() == 2
        async with process(redis_server, "c", 100) as c:
            assert c.others == 75
            await eventually(lambda: (a.others, b.others) == (170, 105))
        await eventually(lambda: (a.others, b.others) == (70, 5))


async def test_after_the_last_process_nothing_is_left_of_them(redis_server: RedisServer) -> None:
    async with process(redis_server, "a", 5):
        with redis_server.client() as client:
            assert len(names := list(client.scan_iter())) == 2
            assert all(0 < client.pttl(name) <= 5_000 for name in names)
    with redis_server.client() as client:
        assert list(client.scan_iter()) == []


async def test_a_process_that_died_is_forgotten(redis_server: RedisServer) -> None:
    dying = RedisConnection(redis_server.url, timeout=5)
    await RedisPresence(dying, "dead", lambda: 40, alive_for=0.1).show()
    await dying.close()
    async with process(redis_server, "a", 1) as a:
        await eventually(lambda: a.others == 0)


async def test_while_redis_is_away_each_knows_of_itself_alone(redis_server: RedisServer) -> None:
    async with process(redis_server, "a", 5) as a, process(redis_server, "b", 70):
        await eventually(lambda: a.others == 70)
        redis_server.stop()
        await eventually(lambda: a.others == 0)
        redis_server.start()
        await eventually(lambda: a.others == 70)
