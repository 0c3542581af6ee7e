"""The leader's lease in Redis: one at a time, replaced when it goes, and never nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from structlog.testing import capture_logs

from chuk.adapters.redis.connection import RedisConnection
from chuk.adapters.redis.leadership import KEY, RedisLeadership
from tests.harness import eventually
from tests.redis_server import RedisServer


@asynccontextmanager
async def process(
    server: RedisServer, name: str, *, lease: float = 0.2
) -> AsyncIterator[RedisLeadership]:
    """The leadership of one process that has started."""
    connection = RedisConnection(server.url, timeout=5, look_interval=0.01)
    leadership = RedisLeadership(connection, name, lease=lease)
    await leadership.start()
    try:
        yield leadership
    finally:
        await leadership.close()
        await connection.close()


async def test_one_process_leads_and_no_other(redis_server: RedisServer) -> None:
    async with (
        process(redis_server, "a", lease=60) as a,
        process(redis_server, "b", lease=60) as b,
    ):
        assert (a.leads, b.leads) == (True, False)


async def test_who_leaves_is_replaced_without_waiting_for_the_lease(
    redis_server: RedisServer,
) -> None:
    async with process(redis_server, "b", lease=300) as b:
        async with process(redis_server, "a", lease=300) as a:
            # It came later.
            assert (a.leads, b.leads) == (False, True)
        await b.close()
        assert not b.leads
        async with process(redis_server, "a", lease=300) as a:
            assert a.leads


async def test_who_dies_is_replaced_when_its_lease_ends(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set(KEY, "somebody who died", px=50)
    async with process(redis_server, "a") as a:
        assert not a.leads
        await eventually(lambda: a.leads)
        with redis_server.client() as client:
            assert client.get(KEY) == b"a"


async def test_who_cannot_renew_stops_leading_before_another_begins(
    redis_server: RedisServer,
) -> None:
    connection = RedisConnection(redis_server.url, timeout=5)
    asleep = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await asleep.wait()

    a = RedisLeadership(connection, "a", lease=0.1, sleep=sleep)
    await a.start()
    assert a.leads
    async with process(redis_server, "b", lease=0.1) as b:
        # What follows looks at both in one step of the loop.
        both = []

        def b_leads() -> bool:
            both.append(a.leads and b.leads)
            return b.leads

        await eventually(b_leads)
        assert not any(both)
    await a.close()
    await connection.close()


async def test_while_redis_is_away_every_process_leads(redis_server: RedisServer) -> None:
    with capture_logs() as lines:
        async with process(redis_server, "a") as a, process(redis_server, "b") as b:
            redis_server.stop()
            await eventually(lambda: a.leads and b.leads)
            redis_server.start()
            await eventually(lambda: a.leads is not b.leads)
    said = [line["event"] for line in lines if line["part"] == "leadership"]
    assert said.count("every_process_leads") == said.count("one_process_leads_again") == 2


async def test_a_redis_that_was_never_there_lets_the_process_lead(
    redis_server: RedisServer,
) -> None:
    redis_server.stop()
    async with process(redis_server, "a") as a:
        assert a.leads
        redis_server.start()
        await eventually(lambda: _holder(redis_server) == b"a")
        assert a.leads


async def test_a_redis_that_refuses_lets_the_process_lead(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory", 1)
    async with process(redis_server, "a") as a, process(redis_server, "b") as b:
        assert a.leads and b.leads


def _holder(server: RedisServer) -> bytes | None:
    with server.client() as client:
        holder = client.get(KEY)
    assert holder is None or isinstance(holder, bytes)
    return holder
