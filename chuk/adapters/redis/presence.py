"""Every process shows itself in Redis, again and again, and says how much it carries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.logs import log_failure

INTERVAL = 2.0
"""Seconds between two times that a process shows itself."""

ALIVE_FOR = 10.0
"""Seconds for which a process counts as alive that shows itself no more."""

_UNTIL = "chuk:processes"
_CARRIED = "chuk:connections"

_SHOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local sum = 0
for _, carried in ipairs(redis.call('HVALS', KEYS[2])) do
  sum = sum + carried
end
return sum
"""


class RedisPresence:
    """The presence of this process.

    Args:
        owner: this process; unlike all others.
        carries: how many chat connections are open here now.
        sleep: how the background task waits.

    Attributes:
        others: see `Presence.others`; 0 while Redis is away.
    """

    def __init__(
        self,
        connection: RedisConnection,
        owner: str,
        carries: Callable[[], int],
        *,
        interval: float = INTERVAL,
        alive_for: float = ALIVE_FOR,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.others = 0
        self._connection = connection
        self._owner = owner
        self._carries = carries
        self._interval = interval
        self._alive_for = alive_for
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        self._show = connection.script(_SHOW)

    async def start(self) -> None:
        """Show this process, once now and then in the background."""
        await self.show()
        self._task = asyncio.create_task(self._keep_showing(), name="presence")

    async def close(self) -> None:
        """Be gone, at once where Redis can be told."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        with suppress(RedisAway):
            # Else it is forgotten by itself.
            await self._connection.run(self._leave)

    async def show(self) -> None:
        """Say that this process lives, and learn of the others."""
        carries = self._carries()
        arguments: list[str | int] = [self._owner, carries, max(1, round(self._alive_for * 1000))]

        async def call(client: Redis) -> Any:
            return await self._show(keys=[_UNTIL, _CARRIED], args=arguments, client=client)

        try:
            together = await self._connection.run(call)
        except RedisAway:
            # The connection has said so.
            self.others = 0
            return
        self.others = max(0, together - carries)

    async def count(self) -> int:
        """How many processes have shown themselves lately.

        Raises:
            RedisAway: nobody can say.
        """
        return int(await self._connection.run(_count))

    async def _leave(self, client: Redis) -> None:
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.zrem(_UNTIL, self._owner)
            pipeline.hdel(_CARRIED, self._owner)
            await pipeline.execute()

    async def _keep_showing(self) -> None:
        while True:
            await self._sleep(self._interval)
            try:
                await self.show()
            except Exception as error:
                # A defect must not make this process look dead for good, nor be hidden.
                log_failure("presence", error)


async def _count(client: Redis) -> Any:
    return await client.zcard(_UNTIL)
