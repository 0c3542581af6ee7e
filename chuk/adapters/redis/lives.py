"""Proves that this process lives, and ends the turns of those that live no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from redis.asyncio import Redis

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.adapters.redis.following import Followers
from chuk.adapters.redis.records import (
    PROCESSES,
    Found,
    Records,
    inbox_key,
    life_key,
    members,
    running_key,
)
from chuk.adapters.redis.shipping import Shipper
from chuk.adapters.redis.writing import MARGIN, append, finish
from chuk.chat.event_codec import encode
from chuk.chat.events import Failed
from chuk.chat.ports import StreamState
from chuk.errors import StreamInterrupted
from chuk.leadership import Leadership
from chuk.logs import log_failure, logger

_PROCESSES_SECONDS = 90_000
_BEATS_IN_A_LEASE = 3
_AT_ONCE = 50

_log = logger("streams")


class Lives:
    """The beat of this process, and what it sees of others.

    A process counts as dead when its proof has been missing for half a lease more, while Redis
    answered: after an outage everybody has to prove anew that it lives.

    Args:
        lease: seconds for which a proof holds.

    Attributes:
        interrupted: turns that this process ended for dead ones.
    """

    def __init__(
        self,
        connection: RedisConnection,
        records: Records,
        shipper: Shipper,
        followers: Followers,
        *,
        process: str,
        lease: float,
        leadership: Leadership,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.interrupted = 0
        self._connection = connection
        self._records = records
        self._shipper = shipper
        self._followers = followers
        self._process = process
        self._lease = lease
        self._leadership = leadership
        self._sleep = sleep
        self._missing_since: dict[str, float] = {}
        self._refreshed_at = 0.0
        self._outages = connection.outages
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Prove it once, then again and again."""
        await self._beat_safely()
        self._task = asyncio.create_task(self._keep_beating(), name="life in Redis")

    async def close(self) -> None:
        """Be gone, once nothing runs any more."""
        await self.stop()
        with suppress(RedisAway):
            # Else it ends by itself.
            await self._connection.run(self._leave)

    async def stop(self) -> None:
        """Prove nothing more, as if this process had died."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def beat(self) -> None:
        """Prove it, renew what must not be forgotten, and look after the dead.

        Raises:
            RedisAway: it does not answer.
        """
        await self._connection.run(self._prove)
        if self._outages != self._connection.outages:
            self._outages = self._connection.outages
            self._shipper.doubt()
        self._shipper.nudge()
        now = asyncio.get_running_loop().time()
        if now - self._refreshed_at >= MARGIN / 4:
            self._refreshed_at = now
            await self._shipper.refresh()
        await self._followers.renew()
        await self._look_at(self._followers.followed)
        if self._leadership.leads:
            await self._sweep()

    async def _keep_beating(self) -> None:
        while True:
            await self._sleep(self._lease / _BEATS_IN_A_LEASE)
            await self._beat_safely()

    async def _beat_safely(self) -> None:
        try:
            await self.beat()
        except RedisAway:
            # The connection has said so. Nobody could prove anything meanwhile.
            self._missing_since.clear()
        except Exception as error:
            # A defect must not make this process look dead for good, nor be hidden.
            log_failure("streams", error)

    async def _prove(self, client: Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.set(life_key(self._process), 1, px=round(self._lease * 1000))
        pipeline.sadd(PROCESSES, self._process)
        pipeline.expire(PROCESSES, _PROCESSES_SECONDS)
        pipeline.expire(running_key(self._process), _PROCESSES_SECONDS)
        await pipeline.execute()

    async def _leave(self, client: Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.unlink(
            life_key(self._process), inbox_key(self._process), running_key(self._process)
        )
        pipeline.srem(PROCESSES, self._process)
        await pipeline.execute()

    async def _look_at(self, stream_ids: Sequence[str]) -> None:
        """Tell who follows these how far they are; end those whose process is dead."""
        for start in range(0, len(stream_ids), _AT_ONCE):
            some = stream_ids[start : start + _AT_ONCE]
            known = await self._known(some)
            running = [each for each in known if each.facts.state is StreamState.RUNNING]
            dead = await self._dead({each.process for each in running})
            come = {found.facts.id: found.following - 1 for found in known}
            for stream_id in some:
                self._followers.note(stream_id, come.get(stream_id))
            for found in running:
                if found.process in dead:
                    await self._interrupt(found)

    async def _known(self, stream_ids: Sequence[str]) -> list[Found]:
        return await self._connection.run(lambda client: self._records.found(client, stream_ids))

    async def _sweep(self) -> None:
        """End every turn whose process is dead, whether anybody follows it or not."""
        processes = await self._connection.run(lambda client: members(client, PROCESSES))
        for process in await self._dead(set(processes)):
            await self._bury(process)

    async def _bury(self, process: str) -> None:
        key = running_key(process)
        ids = await self._connection.run(lambda client: members(client, key))
        for start in range(0, len(ids), _AT_ONCE):
            for found in await self._known(ids[start : start + _AT_ONCE]):
                if found.facts.state is StreamState.RUNNING and found.process == process:
                    await self._interrupt(found)

        async def forget(client: Redis) -> None:
            pipeline = client.pipeline(transaction=False)
            pipeline.unlink(key, inbox_key(process))
            pipeline.srem(PROCESSES, process)
            await pipeline.execute()

        await self._connection.run(forget)
        self._missing_since.pop(process, None)

    async def _dead(self, processes: set[str]) -> set[str]:
        """Which of these have not proved for long enough that they live."""
        others = sorted(processes - {self._process})
        if not others:
            return set()
        now = asyncio.get_running_loop().time()

        async def call(client: Redis) -> list[int]:
            pipeline = client.pipeline(transaction=False)
            for process in others:
                pipeline.exists(life_key(process))
            return list(await pipeline.execute())

        dead = set()
        for process, lives in zip(others, await self._connection.run(call), strict=True):
            if lives:
                self._missing_since.pop(process, None)
            elif now - self._missing_since.setdefault(process, now) >= self._lease / 2:
                dead.add(process)
        return dead

    async def _interrupt(self, found: Found) -> None:
        """Write the end that a dead process could not: only one who tries can."""
        stream_id = found.facts.id
        seal = self._records.seals.of(stream_id)
        end = Failed(StreamInterrupted())
        batch = self._records.batch(found.following, encode([end]), 1, end, seal)

        async def call(client: Redis) -> bool:
            pipeline = client.pipeline(transaction=False)
            append(pipeline, stream_id, found.following, batch)
            finish(pipeline, stream_id, found.keep, found.process)
            return isinstance((await pipeline.execute(raise_on_error=False))[0], bytes)

        if await self._connection.run(call):
            self.interrupted += 1
            _log.warning("stream_interrupted", stream=stream_id, interrupted=self.interrupted)
