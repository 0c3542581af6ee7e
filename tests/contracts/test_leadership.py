"""What every leadership promises: the background jobs never rest for want of a leader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from chuk.adapters.redis.connection import RedisConnection
from chuk.adapters.redis.leadership import RedisLeadership
from chuk.leadership import Alone, Leadership
from tests.redis_server import RedisServer

ROUNDS = 50


async def soon(_seconds: float) -> None:
    """Instead of a third of a lease."""
    await asyncio.sleep(0.001)


@pytest.fixture(params=["alone", "redis"])
async def processes(request: pytest.FixtureRequest) -> AsyncIterator[list[Leadership]]:
    """The leaderships of three processes that have started at once."""
    if request.param == "alone":
        yield [Alone(), Alone(), Alone()]
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    connections = [RedisConnection(server.url, timeout=5, look_interval=0.01) for _ in range(3)]
    shared = [
        RedisLeadership(connection, f"process {number}", lease=60, sleep=soon)
        for number, connection in enumerate(connections)
    ]
    await asyncio.gather(*(leadership.start() for leadership in shared))
    yield list(shared)
    for leadership, connection in zip(shared, connections, strict=True):
        await leadership.close()
        await connection.close()


async def test_somebody_leads_from_the_start_on(processes: list[Leadership]) -> None:
    assert any(process.leads for process in processes)


async def test_who_leads_goes_on_leading(processes: list[Leadership]) -> None:
    leaders = [process.leads for process in processes]
    for _ in range(ROUNDS):
        await soon(0)
        assert [process.leads for process in processes] == leaders
