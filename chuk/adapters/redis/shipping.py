"""Brings the turns of this process to Redis: one task for all of them, a batch of each at a time.

What is not there yet is read from the log that this process keeps anyway. So a turn never waits
for Redis, nothing is kept twice, and after an outage each log goes on from where it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from uuid import UUID

from redis.asyncio import Redis

from chuk.adapters.redis.bringing import GONE, code_of
from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.adapters.redis.load import Load
from chuk.adapters.redis.records import Found, Records
from chuk.adapters.redis.shipment import Shipment
from chuk.adapters.redis.writing import MARGIN, prolong
from chuk.chat.event_log import Place
from chuk.chat.memory_recording import MemoryRecording
from chuk.chat.ports import StreamState
from chuk.logs import log_failure, logger

# Seconds between two rounds at least; and a round takes a tenth of the time, so that with more
# streams each batch brings more of one. What begins does not wait for that: a client may lose us.
# Yet a short answer may be over before its second round, and then comes in one piece. So what has
# begun is in Redis after two intervals at the latest, and the time of a round.
_INTERVAL = 0.025
_MAY_END_WITHIN = 0.02
_SHARE = 10.0
_LONGEST_INTERVAL = 1.0
# At most so many streams in one call: everything else has to be let through.
_AT_ONCE = 16
_FORGOTTEN_AT_ONCE = 64
_STANDS_ALREADY = b"The ID specified"
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
        self._time = asyncio.get_running_loop().time
        self._queue: list[Shipment] = []
        # What Redis is to forget: whose it is, and when it is forgotten there by itself.
        self._gone: dict[str, tuple[UUID, float]] = {}
        self._complained_at = float("-inf")
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many streams have something to bring, or are to be forgotten."""
        return len(self._queue) + len(self._gone)

    def begin(self, recording: MemoryRecording) -> Shipment:
        """The same recording, brought to Redis as it grows."""
        shipment = Shipment(recording, self.records.seals.of, self.queue)
        self.running[recording.id] = shipment
        return shipment

    def queue(self, shipment: Shipment) -> None:
        """Look at it in the next round."""
        if not shipment.is_queued and not shipment.is_over:
            shipment.is_queued = True
            shipment.waits_since = self._time()
            self._queue.append(shipment)
            self._wake.set()

    def give_up(self, recording: MemoryRecording) -> None:
        """It is not kept here any more, so not in Redis either."""
        if (shipment := self.running.get(recording.id)) is not None:
            self._let_go(shipment)
        kept_until = self._time() + recording.keep_for + MARGIN
        self._gone[recording.id] = (recording.owner, kept_until)
        self._wake.set()

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
        while (self._queue or self._gone) and await self.ship():
            pass

    async def ship(self, *, at: float | None = None, only_new: bool = False) -> bool:
        """One round: bring what is new of queued streams; false where Redis is away.

        Args:
            at: now, in seconds of the event loop: what has just begun and may soon be over is
                left in the queue. Without it nothing is.
            only_new: of those that Redis knows nothing of.
        """
        async with self._turn:
            waiting, self._queue = self._queue, []
            queue: list[Shipment] = []
            for each in waiting:
                if at is not None and (
                    (only_new and not each.is_new) or each.may_soon_end(at, _MAY_END_WITHIN)
                ):
                    self._queue.append(each)
                else:
                    queue.append(each)
            is_brought = False
            try:
                gone = {} if only_new else {key: owner for key, (owner, _) in self._gone.items()}
                while queue or gone:
                    some, queue = queue[:_AT_ONCE], queue[_AT_ONCE:]
                    part = dict(islice(gone.items(), _FORGOTTEN_AT_ONCE))
                    if not await self._ship(some, part):
                        return False
                    for stream_id in part:
                        del gone[stream_id]
                    if queue or gone:
                        await asyncio.sleep(0)
                is_brought = True
                return True
            finally:
                if not is_brought:
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
        now = self._time()
        for shipment in self._queue:
            inner = shipment.inner
            if inner.over_at is not None and now - inner.over_at >= inner.keep_for + MARGIN:
                self._let_go(shipment)
        self._queue = [each for each in self._queue if not each.is_over]
        self._gone = {key: gone for key, gone in self._gone.items() if gone[1] > now}

    def nudge(self) -> None:
        """Try again what could not be brought."""
        if self._queue or self._gone:
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
        now = self._time
        next_round = 0.0
        while True:
            await self._wake.wait()
            self._wake.clear()
            began = now()
            try:
                if began >= next_round:
                    is_brought = await self.ship(at=began)
                    took = now() - began
                    next_round = now() + min(took * (_SHARE - 1), _LONGEST_INTERVAL)
                else:
                    is_brought = await self.ship(at=began, only_new=True)
                if is_brought and self.waiting:
                    self._wake.set()
            except Exception as error:
                # A defect must not keep every stream from Redis for good, nor be hidden.
                log_failure("streams", error)
                await asyncio.sleep(_LONGEST_INTERVAL)
            await asyncio.sleep(_INTERVAL)

    async def _ship(self, some: Sequence[Shipment], gone: Mapping[str, UUID]) -> bool:
        """Bring a batch of each, and let what is gone be forgotten.

        False where Redis does not take it, and it is still to do.
        """
        some = [shipment for shipment in some if not shipment.is_over]
        for shipment in some:
            shipment.is_queued = False
        is_brought = False
        try:
            await self._look_back([shipment for shipment in some if not shipment.is_known])
            load = Load(self.records, self._process, some, gone)
            await self._connection.run(load.carry)
            for shipment in load.over:
                self._let_go(shipment)
            kept = [one for one in load.forgotten if not self._conclude_forgetting(*one)]
            refused = [one for one in load.carried if not self._conclude(*one)]
            is_brought = not refused and not kept
        except RedisAway:
            return False
        finally:
            if not is_brought:
                self._put_back(some)
        if not is_brought:
            return False
        for shipment in some:
            if shipment.is_delivered or shipment.following <= shipment.inner.log.last_number:
                self.queue(shipment)
        return True

    def _conclude(self, shipment: Shipment, place: Place, error: bytes | None) -> bool:
        """Note what Redis said to a batch; false where it has no room for it."""
        if error is None:
            shipment.sent(place)
            if shipment.is_delivered and shipment.is_whole:
                self._let_go(shipment)
        elif error == GONE:
            # It was restarted and is empty, or we were silent for too long.
            shipment.go_back(1)
        else:
            # Something stands there already, ours or of who thought us dead; or there is no room.
            shipment.is_known = False
            if _STANDS_ALREADY not in error:
                self._note_refusal(error)
                return False
        return True

    def _conclude_forgetting(self, stream_id: str, error: bytes | None) -> bool:
        if error is None:
            self._gone.pop(stream_id, None)
        else:
            self._note_refusal(error)
        return error is None

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

    def _note_refusal(self, error: bytes) -> None:
        self.refused += 1
        now = self._time()
        if now - self._complained_at >= _COMPLAINT_INTERVAL:
            self._complained_at = now
            _log.warning("streams_refused", error=code_of(error), refused=self.refused)

    def _let_go(self, shipment: Shipment) -> None:
        shipment.is_over = True
        self.running.pop(shipment.id, None)
