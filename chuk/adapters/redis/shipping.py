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
from chuk.adapters.redis.records import Found, Records
from chuk.adapters.redis.shipment import Shipment
from chuk.adapters.redis.writing import MARGIN, append, begin, finish, forget, prolong
from chuk.chat.events import TurnEvent
from chuk.chat.memory_recording import MemoryRecording
from chuk.chat.ports import StreamState
from chuk.logs import log_failure, logger

# Seconds between two rounds at least; and a round takes a tenth of the time, so that with more
# streams each batch brings more of one. What begins does not wait for that: a client may lose us.
_INTERVAL = 0.025
_SHARE = 10.0
_LONGEST_INTERVAL = 1.0
# At most so many streams in one pipeline: everything else has to be let through.
_AT_ONCE = 16
_STANDS_ALREADY = "The ID specified"
# Seconds between two warnings that Redis takes nothing.
_COMPLAINT_INTERVAL = 60.0

_log = logger("streams")


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
        self._complained_at = float("-inf")
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many streams have something to bring."""
        return len(self._queue)

    def begin(self, recording: MemoryRecording) -> Shipment:
        """The same recording, brought to Redis as it grows."""
        shipment = self.running[recording.id] = self._shipment(recording)
        return shipment

    def queue(self, shipment: Shipment) -> None:
        """Look at it in the next round."""
        if not shipment.is_queued and not shipment.is_over:
            shipment.is_queued = True
            self._queue.append(shipment)
            self._wake.set()

    def give_up(self, recording: MemoryRecording) -> None:
        """It is not kept here any more, so not in Redis either."""
        self.queue(self.running.get(recording.id) or self._shipment(recording))

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
            try:
                while queue:
                    some, queue = queue[:_AT_ONCE], queue[_AT_ONCE:]
                    if not await self._ship(some):
                        return False
                    await asyncio.sleep(0)
                return True
            finally:
                # Redis is away, or this process ends: what is there is still to be brought.
                self._queue += queue
                self._let_go_of_old()

    def _put_back(self, failed: Sequence[Shipment]) -> None:
        """Try again later, not in a circle: `nudge` says when, or the next events do."""
        for shipment in failed:
            # It may have come to Redis all the same.
            shipment.is_known = False
            # Its turn may have said more meanwhile, which has put it back.
            if not shipment.is_queued and not shipment.is_over:
                shipment.is_queued = True
                self._queue.append(shipment)

    def _let_go_of_old(self) -> None:
        """However long Redis is away, keep nothing that even Redis has forgotten by now."""
        now = asyncio.get_running_loop().time()
        for shipment in self._queue:
            inner = shipment.inner
            if inner.over_at is not None and now - inner.over_at >= inner.keep_for + MARGIN:
                self._let_go(shipment)
        self._queue = [each for each in self._queue if not each.is_over]

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
                        prolong(pipeline, shipment.id, shipment.inner.keep_for)
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
                await asyncio.sleep(_LONGEST_INTERVAL)
            await asyncio.sleep(_INTERVAL)

    async def _ship(self, some: Sequence[Shipment]) -> bool:
        """Bring a batch of each; false where Redis does not take it, and it is still to do."""
        some = [shipment for shipment in some if not shipment.is_over]
        for shipment in some:
            shipment.is_queued = False
        is_brought = False
        try:
            await self._look_back([shipment for shipment in some if not shipment.is_known])
            results = await self._connection.run(lambda client: self._add(client, some))
            for shipment, batch, result in results:
                self._conclude(shipment, batch, result)
            is_brought = True
        except RedisAway:
            return False
        finally:
            if not is_brought:
                self._put_back(some)
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
                self._forget(pipeline, shipment)
                over.append(shipment)
            elif shipment.is_delivered:
                finish(pipeline, shipment.id, shipment.inner.keep_for, self._process)
                over.append(shipment)
            elif batch := shipment.batch():
                try:
                    fields = self.records.batch(shipment.following, batch, shipment.seal)
                except Exception as error:
                    # A defect of one must not keep the others from Redis, nor be hidden.
                    log_failure("streams", error, stream=shipment.id)
                    self._forget(pipeline, shipment)
                    over.append(shipment)
                    continue
                added.append((shipment, batch, len(pipeline)))
                if shipment.is_new:
                    opening = self.records.opening(shipment.inner, shipment.seal, self._process)
                    begin(pipeline, opening, shipment.following, fields)
                else:
                    append(pipeline, shipment.id, shipment.following, fields)
        results = await pipeline.execute(raise_on_error=False)
        for shipment in over:
            self._let_go(shipment)
        return [(shipment, batch, results[index]) for shipment, batch, index in added]

    def _conclude(self, shipment: Shipment, batch: Sequence[TurnEvent], result: Any) -> None:
        """Note what Redis said to a batch."""
        if isinstance(result, Exception):
            # Something stands there already, ours or of who thought us dead; or there is no room.
            shipment.is_known = False
            if _STANDS_ALREADY not in str(result):
                self._note_refusal(result)
                raise RedisAway("no room")
        elif result is None:
            # It was restarted and is empty, or we were silent for too long.
            shipment.go_back(1)
        else:
            shipment.sent(batch)

    async def _look_back(self, some: Sequence[Shipment]) -> None:
        """Ask Redis how much of these it has."""
        ids = [shipment.id for shipment in some]
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
        _log.warning("stream_shut_out", stream=shipment.id, shut_out=self.shut_out)

    def _note_refusal(self, error: Exception) -> None:
        self.refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= _COMPLAINT_INTERVAL:
            self._complained_at = now
            _log.warning("streams_refused", error=type(error).__name__, refused=self.refused)

    def _shipment(self, recording: MemoryRecording) -> Shipment:
        return Shipment(recording, self.records.seals.of(recording.id), self.queue)

    def _forget(self, pipeline: Pipeline, shipment: Shipment) -> None:
        name = self.records.seals.name_of(shipment.inner.owner)
        forget(pipeline, shipment.id, name, self._process)

    def _let_go(self, shipment: Shipment) -> None:
        shipment.is_over = True
        self.running.pop(shipment.id, None)
