"""One leader among all processes, by a lease that it renews and that ends by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.logs import log_failure, logger

KEY = "chuk:leader"

# Whoever has the lease keeps it; whoever finds none takes it.
_HOLD = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
_LEAVE = """
return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0
"""
_ROUNDS_IN_A_LEASE = 3

_log = logger("leadership")


class RedisLeadership:
    """The leadership of this process.

    While Redis is away every process leads: the jobs are safe to run twice, and must not rest.

    Args:
        owner: this process; unlike all others.
        lease: seconds after which a leader that died is replaced.
        sleep: how the background task waits.
    """

    def __init__(
        self,
        connection: RedisConnection,
        owner: str,
        *,
        lease: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._lease = lease
        self._sleep = sleep
        self._leads_until = float("-inf")
        self._is_alone = False
        self._did_lead = False
        self._task: asyncio.Task[None] | None = None
        self._hold = connection.script(_HOLD)
        self._leave = connection.script(_LEAVE)

    @property
    def leads(self) -> bool:
        """See `Leadership.leads`."""
        return self._is_alone or asyncio.get_running_loop().time() < self._leads_until

    async def start(self) -> None:
        """Try to lead, once now and then in the background."""
        await self.hold()
        self._task = asyncio.create_task(self._keep_holding(), name="leadership")

    async def close(self) -> None:
        """Leave the lease to others, who need not wait for its end then."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._is_alone or not self.leads:
            return
        self._leads_until = float("-inf")
        with suppress(RedisAway):
            # Else it ends by itself.
            await self._connection.run(self._leave_now)

    async def hold(self) -> None:
        """Take or renew the lease, if nobody else has it."""
        # Counted from before the question: the lease in Redis never ends earlier.
        began = asyncio.get_running_loop().time()
        try:
            has_it = await self._connection.run(self._hold_now)
        except RedisAway as error:
            if not self._is_alone:
                self._is_alone = True
                _log.warning("every_process_leads", error=str(error))
            return
        if self._is_alone:
            self._is_alone = False
            _log.info("one_process_leads_again")
        self._leads_until = began + self._lease if has_it else float("-inf")
        if bool(has_it) is not self._did_lead:
            self._did_lead = bool(has_it)
            _log.info("leads" if has_it else "follows")

    async def _hold_now(self, client: Redis) -> Any:
        milliseconds = max(1, round(self._lease * 1000))
        return await self._hold(keys=[KEY], args=[self._owner, milliseconds], client=client)

    async def _leave_now(self, client: Redis) -> Any:
        return await self._leave(keys=[KEY], args=[self._owner], client=client)

    async def _keep_holding(self) -> None:
        while True:
            await self._sleep(self._lease / _ROUNDS_IN_A_LEASE)
            try:
                await self.hold()
            except Exception as error:
                # A defect must not leave everybody without a leader, nor be hidden.
                log_failure("leadership", error)
