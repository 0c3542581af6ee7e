"""A crowd that asks Redis at once: the clients of a server that died, say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis

from chuk.adapters.redis.connection import RedisConnection

Answer = TypeVar("Answer")

_AT_ONCE = 8


class Gate:
    """Lets few through at a time, so that nobody's call is late for having waited its turn."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self, call: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """See `RedisConnection.run`.

        Raises:
            RedisAway: it does not answer in time, or refuses the call.
        """
        async with self._turns:
            return await self._connection.run(call)
