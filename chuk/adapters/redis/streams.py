"""Streams that other processes can go on with, also after the process that ran them has died.

The process that runs a turn keeps it in its own memory as it would without Redis, serves those who
resume there from it, and brings it to Redis (`shipping`). Others read it there (`following`).

While Redis is away turns go on and can be resumed in their own process; what another process runs
cannot be reached (`SERVICE_UNAVAILABLE`). When Redis is back, what it missed is brought to it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.adapters.redis.follower import away
from chuk.adapters.redis.following import ERASE, STOP, Followers
from chuk.adapters.redis.gate import Gate
from chuk.adapters.redis.lives import Lives
from chuk.adapters.redis.records import Found, Records, followed_key, user_key
from chuk.adapters.redis.sealing import Seals
from chuk.adapters.redis.shipping import Shipper
from chuk.adapters.redis.writing import forget
from chuk.chat.ports import Kept, Recording, StreamFacts, StreamState
from chuk.chat.recording import MemoryStreams
from chuk.clock import utc_now
from chuk.errors import NotFound
from chuk.leadership import Leadership

LEASE = 6.0
"""Seconds after which a process that is silent begins to look dead."""

_PATIENCE = 10.0
# Streams of one user: looked up at once, and listed at most.
_PAGE = 100
_MOST_LISTED = 200
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_TIMED_ID = re.compile("[0-9a-f]{32}")
_TIME_DIGITS = 12
# Seconds. A client that changes networks may be here before its answer is.
_FRESH = 1.0
_FIRST_WAIT, _LONGEST_WAIT = 0.025, 0.8


class RedisStreams:
    """See `chuk.chat.ports.StreamStore`.

    Args:
        local: what this process keeps by itself.
        seals: of one key for all processes.
        process: unlike all others.
        leadership: who ends the turns of dead processes that nobody follows.
        lease: seconds; see `LEASE`.
        patience: seconds for which a follower waits for Redis to come back.
    """

    def __init__(
        self,
        local: MemoryStreams,
        connection: RedisConnection,
        *,
        seals: Seals,
        process: str,
        leadership: Leadership,
        lease: float = LEASE,
        patience: float = _PATIENCE,
    ) -> None:
        self._local = local
        self._connection = connection
        self._gate = Gate(connection)
        self._process = process
        self._lease = lease
        self._stop: Callable[[str], object] = lambda _: None
        self.records = Records(seals)
        self.shipper = Shipper(connection, self.records, process=process)
        self.followers = Followers(
            connection,
            self._gate,
            self.records,
            process=process,
            obey=self._obey,
            patience=patience,
            followed_for=2 * lease,
        )
        # What is not kept here for a bound is not kept in Redis either.
        local.when_dropped(self.shipper.give_up)
        self.lives = Lives(
            connection,
            self.records,
            self.shipper,
            self.followers,
            process=process,
            lease=lease,
            leadership=leadership,
        )

    @property
    def is_away(self) -> bool:
        """Whether Redis did not answer lately."""
        return self._connection.is_away

    async def start(self) -> None:
        """Begin to share; never fails for want of Redis."""
        self.shipper.start()
        self.followers.start()
        await self.lives.start()

    async def close(self) -> None:
        """Bring what is there to Redis, if it answers, and stop."""
        await self.followers.close()
        await self.shipper.close()
        await self.lives.close()

    def open(
        self, stream_id: str, owner: UUID, model_id: str, *, keep: float | None = None
    ) -> Recording:
        """See `StreamStore.open`."""
        recording = self._local.open(stream_id, owner, model_id, keep=keep)
        return self.shipper.begin(recording)

    async def find(self, stream_id: str) -> StreamFacts | None:
        """See `StreamStore.find`.

        Raises:
            ServiceUnavailable: it is not of this process, and Redis is away.
        """
        if (facts := await self._local.find(stream_id)) is not None:
            return facts
        found = await self._found(stream_id)
        return None if found is None else found.facts

    async def of(self, user_id: UUID) -> Sequence[StreamFacts]:
        """See `StreamStore.of`; while Redis is away: those of this process."""
        known = {facts.id: facts for facts in await self._local.of(user_id)}
        place: int | None = 0
        while place is not None and place < _MOST_LISTED:
            try:
                shared, place = await self._page(user_id, place)
            except RedisAway:
                # The connection has said so.
                break
            if not shared:
                # What is older is gone as well, but for a few: nobody is to wait for those.
                break
            for found in shared:
                known.setdefault(found.facts.id, found.facts)
        return sorted(known.values(), key=lambda facts: facts.started_at, reverse=True)

    async def follow(self, stream_id: str, after: int) -> AsyncGenerator[Kept, None]:
        """See `StreamStore.follow`.

        Raises:
            NotFound: it is not kept, or not any more, or was sealed with another key.
            ServiceUnavailable: it is not of this process, and Redis is away.
        """
        if await self._local.find(stream_id) is not None:
            source = self._local.follow(stream_id, after)
        elif await self._found(stream_id) is not None:
            source = self.followers.follow(stream_id, after)
        else:
            raise NotFound("This answer is not kept, or not any more.")
        async with aclosing(source) as events:
            async for kept in events:
                yield kept

    async def is_followed(self, stream_id: str) -> bool:
        """See `StreamStore.is_followed`.

        While Redis is away: yes. What was paid for is not to be cut because nobody can be seen.
        """
        if await self._local.is_followed(stream_id):
            return True
        try:
            return bool(await self._gate.run(lambda client: client.exists(followed_key(stream_id))))
        except RedisAway:
            return True

    async def stop(self, stream_id: str) -> None:
        """See `StreamStore.stop`.

        Raises:
            ServiceUnavailable: it is not of this process, and Redis is away.
        """
        if await self._local.find(stream_id) is not None:
            self._stop(stream_id)
            return
        found = await self._found(stream_id)
        if found is not None and found.facts.state is StreamState.RUNNING:
            await self._ask(found, STOP)

    def heed(self, stop: Callable[[str], object]) -> None:
        """See `StreamStore.heed`."""
        self._stop = stop

    async def erase(self, user_id: UUID) -> None:
        """See `StreamStore.erase`; other processes give up what they keep of it as well.

        Raises:
            ServiceUnavailable: Redis is away.
        """
        await self._local.erase(user_id)
        place: int | None = 0
        while place is not None:
            try:
                # What was there is forgotten by then.
                shared, place = await self._page(user_id, 0)
                await self._gate.run(partial(self._forget, user_id=user_id, shared=shared))
            except RedisAway:
                raise away() from None
            for found in shared:
                if found.process != self._process:
                    await self._ask(found, ERASE)

    async def _found(self, stream_id: str) -> Found | None:
        """What Redis knows of it.

        One that has just begun may still be on its way there; and every one may be for a while
        after an outage, from which Redis may have come back empty.
        """
        if _ID.fullmatch(stream_id) is None:
            return None
        wait = _FIRST_WAIT
        while True:
            found = await self._look_for(stream_id)
            is_on_its_way = _is_fresh(stream_id) or self._connection.came_back_within(self._lease)
            if found is not None or not is_on_its_way:
                return found
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _look_for(self, stream_id: str) -> Found | None:
        try:
            (found,) = await self._gate.run(lambda client: self.records.find(client, [stream_id]))
        except RedisAway:
            raise away() from None
        return found

    async def _page(self, user_id: UUID, place: int) -> tuple[list[Found], int | None]:
        """Some of the user's streams, the newest first; and where the next ones stand, if any.

        Raises:
            RedisAway: it does not answer.
        """
        key = user_key(self.records.seals.name_of(user_id))

        async def look(client: Redis) -> tuple[list[Found], int | None]:
            newest: Any = await client.zrevrange(key, place, place + _PAGE - 1)
            ids = [each.decode() for each in newest]
            known = await self.records.find(client, ids)
            found = [each for each in known if each is not None and each.facts.owner == user_id]
            if gone := set(ids) - {each.facts.id for each in found}:
                await client.zrem(key, *gone)
            return found, place + len(found) if len(ids) == _PAGE else None

        return await self._gate.run(look)

    async def _forget(self, client: Redis, user_id: UUID, shared: Sequence[Found]) -> None:
        name = self.records.seals.name_of(user_id)
        pipeline = client.pipeline(transaction=False)
        for found in shared:
            forget(pipeline, {found.facts.id: name}, found.process)
        if len(pipeline):
            await pipeline.execute()

    async def _ask(self, found: Found, what: bytes) -> None:
        try:
            await self.followers.ask(found.process, what, found.facts.id)
        except RedisAway:
            raise away() from None

    def _obey(self, what: bytes, stream_id: str) -> None:
        """Do what another process asks."""
        if what == STOP:
            self._stop(stream_id)
        elif what == ERASE and (recording := self._local.give_up(stream_id)) is not None:
            # It may have been brought to Redis anew since it was deleted there.
            self.shipper.give_up(recording)


def _is_fresh(stream_id: str) -> bool:
    """Whether its id, which begins with milliseconds, says that it began within this second."""
    if _TIMED_ID.fullmatch(stream_id) is None:
        return False
    began_at = int(stream_id[:_TIME_DIGITS], 16) / 1000
    return abs(utc_now().timestamp() - began_at) < _FRESH
