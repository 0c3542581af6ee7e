"""Follows the turns of other processes: one waiting call to Redis for all of them.

The same call waits for what this process is asked to do, in its inbox; that is also how it is
told, by itself, that there is one stream more to wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.adapters.redis.follower import Followed, Follower, away, gone, rest_after
from chuk.adapters.redis.gate import Gate
from chuk.adapters.redis.records import (
    Entry,
    Records,
    events_key,
    followed_key,
    following,
    inbox_key,
    is_last,
    number_of,
)
from chuk.chat.ports import Kept
from chuk.errors import ChukError
from chuk.logs import log_failure

# How long Redis lets the call wait, in seconds; and between two calls at least, so that tokens of
# many streams come together.
_WAIT = 5.0
_INTERVAL = 0.01
# One answer of Redis: of each stream in a waiting call, and of one that is read from its beginning.
_MOST_ENTRIES = 100
_INBOX_SECONDS = 600
_INBOX_LENGTH = 10_000
_AGAIN = 0.2
STOP, ERASE, _LOOK = b"stop", b"erase", b"look"


class Followers:
    """Everybody here who follows a turn of another process.

    Args:
        obey: called with what this process is asked to do (`STOP`, `ERASE`), and with the stream.
        patience: seconds for which a follower waits for Redis, or for what it should hold, to
            come back.
        followed_for: seconds for which others believe that a stream is followed here, if this
            process is silent.
    """

    def __init__(
        self,
        connection: RedisConnection,
        gate: Gate,
        records: Records,
        *,
        process: str,
        obey: Callable[[bytes, str], object],
        patience: float,
        followed_for: float,
    ) -> None:
        self._connection = connection
        self._gate = gate
        self._records = records
        self._process = process
        self._obey = obey
        self._patience = patience
        self._followed_for = followed_for
        self._streams: dict[str, Followed] = {}
        self._inbox = inbox_key(process)
        self._inbox_read_to = b"0-0"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to wait."""
        self._task = asyncio.create_task(self._keep_waiting(), name="streams from Redis")

    async def close(self) -> None:
        """Stop waiting."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @property
    def followed(self) -> list[str]:
        """The streams that are followed here."""
        return list(self._streams)

    async def follow(self, stream_id: str, after: int) -> AsyncGenerator[Kept, None]:
        """See `chuk.chat.ports.StreamStore.follow`; the stream has to be known.

        Raises:
            NotFound: it cannot be read.
            StreamInterrupted: it is gone, or cannot be read on, while it was read.
            ServiceUnavailable: Redis is away, and stays so.
        """
        follower = Follower(after)
        stream = self._streams.setdefault(stream_id, Followed())
        stream.followers.append(follower)
        seal = self._records.seals.of(stream_id)
        try:
            await self._mark(stream_id)
            while True:
                entry = await self._next(stream_id, stream, follower)
                kept = self._records.events_of(entry, seal)
                if kept is None:
                    raise gone(follower)
                if (rest := rest_after(kept, follower.after)) is not None:
                    follower.has_been_told = True
                    yield rest
                follower.after = max(follower.after, following(entry) - 1)
                if is_last(entry):
                    return
        finally:
            stream.followers.remove(follower)
            if not stream.followers:
                del self._streams[stream_id]
                with suppress(RedisAway):
                    # Else it is forgotten by itself.
                    await self._gate.run(
                        lambda client: client.srem(followed_key(stream_id), self._process)
                    )

    async def renew(self) -> None:
        """Say again what is followed here.

        Raises:
            RedisAway: it does not answer.
        """

        async def call(client: Redis) -> None:
            pipeline = client.pipeline(transaction=False)
            for stream_id in self._streams:
                self._say_followed(pipeline, stream_id)
            pipeline.expire(self._inbox, _INBOX_SECONDS)
            await pipeline.execute()

        await self._gate.run(call)

    async def ask(self, process: str, what: bytes, stream_id: str) -> None:
        """Ask a process to do something with a stream that it runs, or has run.

        Raises:
            RedisAway: it does not answer.
        """

        async def call(client: Redis) -> None:
            pipeline = client.pipeline(transaction=False)
            pipeline.xadd(
                inbox_key(process), {what: stream_id}, maxlen=_INBOX_LENGTH, approximate=True
            )
            pipeline.expire(inbox_key(process), _INBOX_SECONDS)
            await pipeline.execute()

        await self._gate.run(call)

    def note(self, stream_id: str, last_event: int | None) -> None:
        """So far the stream has come by now (None: it is gone); who does not know looks again."""
        for follower in self._streams[stream_id].followers if stream_id in self._streams else ():
            if last_event is None or follower.after < last_event:
                follower.miss()

    async def _mark(self, stream_id: str) -> None:
        async def call(client: Redis) -> None:
            pipeline = client.pipeline(transaction=False)
            self._say_followed(pipeline, stream_id)
            await pipeline.execute()

        try:
            await self._gate.run(call)
        except RedisAway:
            raise away() from None

    def _say_followed(self, pipeline: Pipeline, stream_id: str) -> None:
        key = followed_key(stream_id)
        pipeline.sadd(key, self._process)
        pipeline.pexpire(key, round(self._followed_for * 1000))

    async def _next(self, stream_id: str, stream: Followed, follower: Follower) -> Entry:
        """The entry in which the next event is, or the last one."""
        entries = follower.entries
        while True:
            while entries:
                entry = entries.popleft()
                if number_of(entry) > follower.after + 1:
                    follower.miss()
                elif following(entry) > follower.after + 1 or is_last(entry):
                    return entry
            if follower.has_missed:
                follower.has_missed = False
                read = await self._read(stream_id, follower)
                if read and number_of(read[0]) > follower.after + 1:
                    raise gone(follower)
                # What was given meanwhile comes after it, or a second time, which is passed over.
                entries.extendleft(reversed(read))
                if stream.read_to is None:
                    stream.read_to = read[-1][0]
                    await self._nudge()
                continue
            follower.news.clear()
            await follower.news.wait()

    async def _read(self, stream_id: str, follower: Follower) -> list[Entry]:
        """What Redis has of it, from where the follower is."""
        now = asyncio.get_running_loop().time
        last = now() + self._patience
        while True:
            error: ChukError = gone(follower)
            try:
                read = await self._gate.run(
                    lambda client: self._records.read(
                        client, stream_id, follower.after, _MOST_ENTRIES
                    )
                )
                if read:
                    # There may be more than was asked for; or something was missed meanwhile.
                    follower.has_missed |= len(read) >= _MOST_ENTRIES
                    return read
            except RedisAway:
                error = away()
            if now() >= last:
                raise error
            await asyncio.sleep(_AGAIN)

    async def _nudge(self) -> None:
        """Let the waiting call wait for one stream more."""
        with suppress(RedisAway):
            # Else it asks anew anyhow.
            await self.ask(self._process, _LOOK, "")

    async def _keep_waiting(self) -> None:
        was_away = False
        while True:
            try:
                await self._wait()
                if was_away:
                    was_away = False
                    self._look_again()
                await asyncio.sleep(_INTERVAL)
            except RedisAway:
                was_away = True
                await asyncio.sleep(_AGAIN)
            except Exception as error:
                # A defect must not leave every follower in silence, nor be hidden.
                log_failure("streams", error)
                await asyncio.sleep(_AGAIN)

    async def _wait(self) -> None:
        """Wait until there is something new, and give it to whom it is for."""
        ids = {events_key(stream_id): stream_id for stream_id in self._streams}
        read_to = {
            key: stream.read_to
            for key, stream_id in ids.items()
            if (stream := self._streams[stream_id]).read_to is not None
        }
        read_to[self._inbox] = self._inbox_read_to
        news: Any = await self._connection.wait(
            lambda client: client.xread(
                read_to,  # type: ignore[arg-type]
                count=_MOST_ENTRIES,
                block=round(_WAIT * 1000),
            ),
            _WAIT,
        )
        for key, entries in news or ():
            if key.decode() == self._inbox:
                self._inbox_read_to = entries[-1][0]
                self._obey_all(entries)
            elif (found := self._streams.get(ids[key.decode()])) is not None:
                found.read_to = entries[-1][0]
                for follower in found.followers:
                    for entry in entries:
                        follower.give(entry)

    def _obey_all(self, entries: list[Entry]) -> None:
        for _, asked in entries:
            for what, stream_id in asked.items():
                if what != _LOOK:
                    self._obey(what, stream_id.decode())

    def _look_again(self) -> None:
        """Redis was away: let everybody look for what may have passed by."""
        for stream in self._streams.values():
            # It may have forgotten what it had, and is brought it anew from the first event on.
            stream.read_to = None
            for follower in stream.followers:
                follower.miss()
