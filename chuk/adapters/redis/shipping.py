"""Brings the turns of this process to Redis: one task for all of them, a batch of each at a time.

What is not there yet is read from the log that this process keeps anyway. So a turn never waits
for Redis, nothing is kept twice, and after an outage each log goes on from where it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.adapters.redis.records import (
    Found,
    Opening,
    Records,
    entry_id,
    events_key,
    facts_key,
    followed_key,
    running_key,
    user_key,
)
from chuk.chat.event_log import Reading
from chuk.chat.events import ToolCalls, TurnEvent, count_events
from chuk.chat.ports import StreamState
from chuk.chat.recording import MemoryRecording
from chuk.logs import log_failure, logger

# Seconds between two rounds at least; and a round takes a tenth of the time, so that with more
# streams each batch brings more of one. What begins does not wait for that: a client may lose us.
_INTERVAL = 0.025
_SHARE = 10.0
_LONGEST_INTERVAL = 1.0
# At most so many streams in one pipeline: everything else has to be let through.
_AT_ONCE = 16
# A batch is at most so many reads of some kilobytes.
_MOST_READS = 4
# The ids of a user's newest streams are found again; no more of them, and for a day.
_MOST_OF_A_USER = 200
_INDEX_SECONDS = 90_000
_STANDS_ALREADY = "The ID specified"
MARGIN = 60.0
"""Seconds that Redis keeps a stream whose process is silent, beside the usual ones."""

_log = logger("streams")


class Shipment:
    """The recording of one turn: kept here first, and brought to Redis after.

    Attributes:
        following: the number of the first event that Redis does not have.
        is_new: Redis knows nothing of it.
        is_known: that is certain; not so after a call that nobody answered.
        is_delivered: all of it is there, its end included.
        is_over: nothing more is brought: it is done, or it cannot be.
    """

    __slots__ = (
        "_ahead",
        "_reading",
        "_shipper",
        "following",
        "inner",
        "is_delivered",
        "is_known",
        "is_new",
        "is_over",
        "is_queued",
        "opening",
        "seal",
    )

    def __init__(self, opening: Opening, inner: MemoryRecording, shipper: Shipper) -> None:
        self.opening = opening
        self.inner = inner
        self.seal = shipper.records.seals.of(opening.id)
        self.following = 1
        self.is_new = self.is_known = True
        self.is_queued = self.is_delivered = self.is_over = False
        self._shipper = shipper
        self._reading = Reading(inner.log, 0)
        # Read, and not yet known to be in Redis.
        self._ahead: list[TurnEvent] = []

    @property
    def is_whole(self) -> bool:
        """See `chuk.chat.ports.Recording.is_whole`."""
        return self.inner.is_whole

    def keep(self, first_number: int, events: Sequence[TurnEvent]) -> None:
        """See `chuk.chat.ports.Recording.keep`."""
        self.inner.keep(first_number, events)
        if not self.is_queued:
            self._shipper.queue(self)

    def batch(self) -> Sequence[TurnEvent]:
        """What goes next; the same again until `sent` or `go_back`."""
        ahead = self._ahead
        for _ in range(_MOST_READS):
            if (kept := self._reading.read()) is None:
                break
            ahead += kept[1]
        # What has no number travels with what follows it.
        length = len(ahead)
        while length and isinstance(ahead[length - 1], ToolCalls):
            length -= 1
        return ahead[:length]

    def sent(self, batch: Sequence[TurnEvent]) -> None:
        """Redis has taken this batch."""
        self.is_new = False
        self.following += count_events(batch)
        del self._ahead[: len(batch)]
        log = self.inner.log
        self.is_delivered = log.end is not None and self.following > log.last_number

    def go_back(self, following: int) -> None:
        """Redis has all before this number, and nothing more; 1: nothing at all."""
        self.is_known, self.is_new = True, following == 1
        self.following = following
        self._ahead = []
        self._reading = Reading(self.inner.log, following - 1)


class Shipper:
    """The task, and what it has to do.

    Attributes:
        running: the turns that are not all in Redis, by id.
        refused: batches that Redis did not take, though it was there.
        shut_out: turns whose end another process has written, because this one seemed dead.
    """

    def __init__(self, connection: RedisConnection, records: Records, *, process: str) -> None:
        self.records = records
        self.running: dict[str, Shipment] = {}
        self.refused = self.shut_out = 0
        self._connection = connection
        self._process = process
        self._queue: list[Shipment] = []
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many streams have something to bring."""
        return len(self._queue)

    def begin(self, recording: MemoryRecording) -> Shipment:
        """The same recording, brought to Redis as it grows."""
        shipment = self.running[recording.id] = Shipment(opening_of(recording), recording, self)
        return shipment

    def queue(self, shipment: Shipment) -> None:
        """Look at it in the next round."""
        if not shipment.is_queued and not shipment.is_over:
            shipment.is_queued = True
            self._queue.append(shipment)
            self._wake.set()

    def give_up(self, recording: MemoryRecording) -> None:
        """It is not kept here any more, so not in Redis either."""
        shipment = self.running.get(recording.id)
        self.queue(shipment or Shipment(opening_of(recording), recording, self))

    def start(self) -> None:
        """Begin to bring."""
        self._task = asyncio.create_task(self._keep_shipping(), name="streams to Redis")

    async def close(self) -> None:
        """Bring what is there, if it can be, and stop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self.flush()

    async def flush(self) -> None:
        """Bring all that is there by now, if Redis answers."""
        while self._queue and await self.ship():
            pass

    async def ship(self, *, only_new: bool = False) -> bool:
        """One round: bring what is new of every queued stream; false where Redis is away.

        Args:
            only_new: of those that Redis knows nothing of.
        """
        async with self._turn:
            queue, self._queue = self._queue, []
            if only_new:
                self._queue = [each for each in queue if not each.is_new]
                queue = [each for each in queue if each.is_new]
            for start in range(0, len(queue), _AT_ONCE):
                if not await self._ship(queue[start : start + _AT_ONCE]):
                    self._put_back(queue[start : start + _AT_ONCE], queue[start + _AT_ONCE :])
                    return False
                await asyncio.sleep(0)
            return True

    def _put_back(self, failed: Sequence[Shipment], untried: Sequence[Shipment]) -> None:
        """Try again later, not in a circle: `nudge` says when, or the next events do."""
        for shipment in failed:
            # It may have come to Redis all the same.
            shipment.is_known = False
            # Its turn may have said more meanwhile, which has put it back.
            if not shipment.is_queued and not shipment.is_over:
                shipment.is_queued = True
                self._queue.append(shipment)
        self._queue += untried

    def nudge(self) -> None:
        """Try again what could not be brought."""
        if self._queue:
            self._wake.set()

    async def refresh(self) -> None:
        """Let Redis keep what runs here for longer.

        Raises:
            RedisAway: it does not answer.
        """
        running = tuple(self.running.values())
        for start in range(0, len(running), _AT_ONCE):
            some = running[start : start + _AT_ONCE]

            async def renew(client: Redis, some: Sequence[Shipment] = some) -> None:
                pipeline = client.pipeline(transaction=False)
                for shipment in some:
                    if not shipment.is_delivered:
                        _expire(pipeline, shipment, shipment.opening.keep + MARGIN)
                await pipeline.execute()

            await self._connection.run(renew)

    async def _keep_shipping(self) -> None:
        now = asyncio.get_running_loop().time
        next_round = 0.0
        while True:
            await self._wake.wait()
            self._wake.clear()
            began = now()
            try:
                if began >= next_round:
                    await self.ship()
                    took = now() - began
                    next_round = now() + min(took * (_SHARE - 1), _LONGEST_INTERVAL)
                else:
                    await self.ship(only_new=True)
                    if self._queue:
                        self._wake.set()
            except Exception as error:
                # A defect must not keep every stream from Redis for good, nor be hidden.
                log_failure("streams", error)
            await asyncio.sleep(_INTERVAL)

    async def _ship(self, some: Sequence[Shipment]) -> bool:
        """Bring a batch of each; false where Redis does not take it, and it is still to do."""
        some = [shipment for shipment in some if not shipment.is_over]
        for shipment in some:
            shipment.is_queued = False
        try:
            await self._look_back([shipment for shipment in some if not shipment.is_known])
            results = await self._connection.run(lambda client: self._add(client, some))
            for shipment, batch, result in results:
                self._conclude(shipment, batch, result)
        except RedisAway:
            return False
        for shipment in some:
            if shipment.is_delivered or shipment.following <= shipment.inner.log.last_number:
                self.queue(shipment)
        return True

    async def _add(
        self, client: Redis, some: Sequence[Shipment]
    ) -> list[tuple[Shipment, Sequence[TurnEvent], Any]]:
        """What Redis says to each batch: its id, nothing or an error."""
        pipeline = client.pipeline(transaction=False)
        added: list[tuple[Shipment, Sequence[TurnEvent], int]] = []
        over: list[Shipment] = []
        for shipment in some:
            if not shipment.is_whole:
                # Over a bound, or erased: others shall not know a part of it either.
                name = self.records.seals.name_of(shipment.opening.owner)
                forget(pipeline, shipment.opening.id, name, self._process)
                over.append(shipment)
            elif shipment.is_delivered:
                _expire(pipeline, shipment, shipment.opening.keep)
                pipeline.srem(running_key(self._process), shipment.opening.id)
                over.append(shipment)
            elif batch := shipment.batch():
                if shipment.is_new:
                    self._open(pipeline, shipment)
                added.append((shipment, batch, len(pipeline)))
                pipeline.xadd(
                    events_key(shipment.opening.id),
                    self.records.batch(shipment.following, batch, shipment.seal),  # type: ignore[arg-type]
                    id=entry_id(shipment.following),
                    nomkstream=not shipment.is_new,
                )
                if shipment.is_new:
                    _expire(pipeline, shipment, shipment.opening.keep + MARGIN)
        results = await pipeline.execute(raise_on_error=False)
        for shipment in over:
            self._let_go(shipment)
        return [(shipment, batch, results[index]) for shipment, batch, index in added]

    def _conclude(self, shipment: Shipment, batch: Sequence[TurnEvent], result: Any) -> None:
        """Note what Redis said to a batch."""
        if isinstance(result, Exception):
            # Something stands there already, ours or of who thought us dead; or there is no room.
            shipment.is_known = False
            if not str(result).startswith(_STANDS_ALREADY):
                self.refused += 1
                _log.warning("stream_refused", error=type(result).__name__, refused=self.refused)
                raise RedisAway("no room")
        elif result is None:
            # It was restarted and is empty, or we were silent for too long.
            shipment.go_back(1)
        else:
            shipment.sent(batch)

    async def _look_back(self, some: Sequence[Shipment]) -> None:
        """Ask Redis how much of these it has."""
        ids = [shipment.opening.id for shipment in some]
        if not ids:
            return
        known = await self._connection.run(lambda client: self.records.find(client, ids))
        for shipment, found in zip(some, known, strict=True):
            if found is None:
                shipment.go_back(1)
            elif found.facts.state is StreamState.RUNNING:
                shipment.go_back(found.following)
            else:
                self._note_end(shipment, found)

    def _note_end(self, shipment: Shipment, found: Found) -> None:
        """Its end is there: ours, or that of another process."""
        facts = shipment.inner.facts()
        if (facts.state, facts.last_event) == (found.facts.state, found.facts.last_event):
            shipment.is_known = shipment.is_delivered = True
            return
        self._let_go(shipment)
        self.shut_out += 1
        _log.warning("stream_shut_out", stream=shipment.opening.id, shut_out=self.shut_out)

    def _let_go(self, shipment: Shipment) -> None:
        shipment.is_over = True
        self.running.pop(shipment.opening.id, None)

    def _open(self, pipeline: Pipeline, shipment: Shipment) -> None:
        opening = shipment.opening
        name = self.records.seals.name_of(opening.owner)
        pipeline.hset(
            facts_key(opening.id),
            mapping={
                "process": self._process,
                "owner": name,
                "sealed": self.records.sealed_facts(opening, shipment.seal),
            },
        )
        pipeline.zadd(user_key(name), {opening.id: opening.started_at.timestamp()})
        pipeline.zremrangebyrank(user_key(name), 0, -1 - _MOST_OF_A_USER)
        pipeline.expire(user_key(name), _INDEX_SECONDS)
        pipeline.sadd(running_key(self._process), opening.id)
        pipeline.expire(running_key(self._process), _INDEX_SECONDS)


def opening_of(recording: MemoryRecording) -> Opening:
    """What Redis is told of it at first."""
    return Opening(
        recording.id,
        recording.owner,
        recording.model_id,
        recording.started_at,
        keep=recording.keep_for,
    )


def forget(pipeline: Pipeline, stream_id: str, name: str, process: str) -> None:
    """Delete a stream of the user with this hidden name."""
    pipeline.unlink(facts_key(stream_id), events_key(stream_id), followed_key(stream_id))
    pipeline.srem(running_key(process), stream_id)
    pipeline.zrem(user_key(name), stream_id)


def _expire(pipeline: Pipeline, shipment: Shipment, seconds: float) -> None:
    for key in (facts_key(shipment.opening.id), events_key(shipment.opening.id)):
        pipeline.pexpire(key, round(seconds * 1000))
