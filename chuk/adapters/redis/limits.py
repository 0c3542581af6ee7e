"""Rate limits that all processes share: the leaky bucket of `chuk.web.limits`, in Redis.

A bucket is one number: the moment at which it will have run empty. It expires at that moment, so
nothing is left of who asks no more. Redis' own clock counts, for those of machines may differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.logs import logger
from chuk.web.limits import WINDOW, Decision, MemoryRateLimits, decide

# Microseconds, which a double holds exactly for centuries. The tolerance is for what their
# sums may be off.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local drip = ARGV[2] * 1000000 / ARGV[1]
local empty_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local level = (empty_at - now) / drip
local allowed = 0
if level + 1 <= ARGV[1] + 0.000001 then
  allowed = 1
  empty_at = empty_at + drip
  level = level + 1
  local milliseconds = math.ceil((empty_at - now) / 1000)
  redis.call('SET', KEYS[1], string.format('%.3f', empty_at), 'PX', milliseconds)
end
return {allowed, string.format('%.9f', level), string.format('%.6f', now / 1000000)}
"""

_log = logger("limits")


class RedisRateLimits:
    """One bucket for all processes; one for each process while Redis is away.

    Args:
        per_minute: for each kind, how many requests a minute.

    Attributes:
        alone: how many requests were counted by this process alone since the start.
        refused: how many requests of each kind this process did not let pass.
    """

    def __init__(self, connection: RedisConnection, per_minute: Mapping[str, int]) -> None:
        self.alone = 0
        self._connection = connection
        self._per_minute = dict(per_minute)
        self._own = MemoryRateLimits(per_minute)
        self.refused = self._own.refused
        self._is_alone = False
        self._take = connection.script(_TAKE)

    async def take(self, bucket: str, key: str) -> Decision:
        """See `RateLimits.take`."""
        rate = self._per_minute[bucket]
        # A name that tells nobody whose bucket it is.
        name = f"chuk:limit:{bucket}:{blake2b(key.encode(), digest_size=16).hexdigest()}"

        async def call(client: Redis) -> Any:
            return await self._take(keys=[name], args=[rate, WINDOW], client=client)

        try:
            allowed, level, now = await self._connection.run(call)
        except RedisAway as error:
            return await self._take_alone(bucket, key, error)
        if self._is_alone:
            self._is_alone = False
            _log.info("limits_shared_again", alone=self.alone)
        if allowed != 1:
            self.refused[bucket] += 1
        return decide(allowed == 1, float(level), rate, float(now))

    def tick(self, now: float) -> None:
        """Forget what nobody needs any more; see `MemoryRateLimits.tick`."""
        self._own.tick(now)

    async def _take_alone(self, bucket: str, key: str, error: RedisAway) -> Decision:
        self.alone += 1
        if not self._is_alone:
            self._is_alone = True
            _log.warning("limits_not_shared", error=str(error), alone=self.alone)
        return await self._own.take(bucket, key)
