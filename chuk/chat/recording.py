"""Answers kept in this process's memory for a while, for clients that lost their connection.

    streams = MemoryStreams(StreamBounds(…))
    recording = streams.open(stream_id, owner, model_id)
    recording.keep(1, events)                       # the turn, while it runs
    async for kept in streams.follow(stream_id, 3)  # whoever comes back, from event 4 on

What is over a bound is dropped: the oldest finished answers first, then the one that asks for
more. A turn does not notice; its client can only not come back to it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from chuk.chat.event_log import Reading
from chuk.chat.memory_recording import MemoryRecording
from chuk.chat.ports import Kept, StreamFacts
from chuk.clock import Clock, utc_now
from chuk.errors import NotFound, StreamInterrupted
from chuk.logs import logger
from chuk.steps import in_steps

# Room is asked for in steps, so that most pieces of an answer ask for nothing.
_STEP = 4_096


@dataclass(frozen=True, slots=True)
class StreamBounds:
    """How much is kept, in bytes, and for how long after its end, in seconds."""

    stream: int
    user: int
    total: int
    keep: float


class MemoryStreams:
    """The answers of this process; see `chuk.chat.ports.StreamStore`.

    Args:
        time: in seconds, as `tick` is told it; by default the event loop's.

    Attributes:
        size: bytes set aside for all that is kept.
        dropped, dropped_bytes: how many answers were given up for a bound so far, and how large
            they had become.
    """

    def __init__(
        self,
        bounds: StreamBounds,
        *,
        clock: Clock = utc_now,
        time: Callable[[], float] | None = None,
    ) -> None:
        self.size = 0
        self.dropped = self.dropped_bytes = 0
        self._bounds = bounds
        self._clock = clock
        self._time = time or asyncio.get_running_loop().time
        self._kept: dict[str, MemoryRecording] = {}
        self._people: dict[UUID, _Person] = {}
        # By how long they are kept, each in the order of their ends: the first is the next to go.
        self._finished: dict[float, OrderedDict[str, MemoryRecording]] = {}
        self._dropped_and_told = 0
        self._stop: Callable[[str], object] | None = None
        self._when_dropped: Callable[[MemoryRecording], object] | None = None

    @property
    def kept(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    # What a turn and its followers call.

    def open(
        self, stream_id: str, owner: UUID, model_id: str, *, keep: float | None = None
    ) -> MemoryRecording:
        """See `chuk.chat.ports.StreamStore.open`."""
        recording = MemoryRecording(
            self,
            stream_id,
            owner,
            model_id,
            keep=self._bounds.keep if keep is None else keep,
            started_at=self._clock(),
        )
        if (older := self._kept.get(stream_id)) is not None:
            self._give_up(older)
        self._kept[stream_id] = recording
        self._people.setdefault(owner, _Person()).streams[stream_id] = recording
        self.make_room(recording)
        return recording

    async def find(self, stream_id: str) -> StreamFacts | None:
        """See `chuk.chat.ports.StreamStore.find`."""
        recording = self._kept.get(stream_id)
        return None if recording is None or self._is_too_old(recording) else recording.facts()

    async def of(self, user_id: UUID) -> Sequence[StreamFacts]:
        """See `chuk.chat.ports.StreamStore.of`."""
        person = self._people.get(user_id)
        kept = () if person is None else reversed(person.streams.values())
        return [recording.facts() for recording in kept if not self._is_too_old(recording)]

    async def follow(self, stream_id: str, after: int) -> AsyncGenerator[Kept, None]:
        """See `chuk.chat.ports.StreamStore.follow`.

        Raises:
            NotFound: it is not kept, or not any more.
            StreamInterrupted: it was dropped for a bound while it was read.
        """
        recording = self._kept.get(stream_id)
        if recording is None or self._is_too_old(recording):
            raise NotFound("This answer is not kept, or not any more.")
        reading = Reading(recording.log, after)
        recording.followers += 1
        try:
            while True:
                while (kept := reading.read()) is not None:
                    yield kept
                if not recording.is_whole:
                    raise StreamInterrupted
                if recording.log.end is not None:
                    return
                await recording.news()
        finally:
            recording.followers -= 1

    async def is_followed(self, stream_id: str) -> bool:
        """See `chuk.chat.ports.StreamStore.is_followed`."""
        recording = self._kept.get(stream_id)
        return recording is not None and recording.followers > 0

    async def stop(self, stream_id: str) -> None:
        """See `chuk.chat.ports.StreamStore.stop`."""
        if self._stop is not None:
            self._stop(stream_id)

    def heed(self, stop: Callable[[str], object]) -> None:
        """See `chuk.chat.ports.StreamStore.heed`."""
        self._stop = stop

    async def erase(self, user_id: UUID) -> None:
        """See `chuk.chat.ports.StreamStore.erase`."""
        person = self._people.get(user_id)
        for recording in tuple(person.streams.values()) if person is not None else ():
            self._give_up(recording)

    # What calls who brings these answers to others.

    def when_dropped(self, callback: Callable[[MemoryRecording], object]) -> None:
        """From now on call this with each answer that is given up for a bound."""
        self._when_dropped = callback

    def give_up(self, stream_id: str) -> MemoryRecording | None:
        """Forget an answer, and leave nothing to those who still read it; returns what it was."""
        if (recording := self._kept.get(stream_id)) is not None:
            self._give_up(recording)
        return recording

    # What recordings call.

    def make_room(self, recording: MemoryRecording) -> None:
        """Set aside room for what a recording has grown to, at the cost of older ones, or its own.

        A recording that does not get it is unwhole from then on.
        """
        bounds, needed = self._bounds, recording.log.size
        if needed > bounds.stream:
            self.drop(recording)
            return
        person = self._people[recording.owner]
        self._set_room(recording, min(needed + _STEP, bounds.stream))
        while person.size > bounds.user and recording.is_whole:
            self.drop(next(person.finished(), recording))
        while self.size > bounds.total and recording.is_whole:
            self.drop(self._oldest() or recording)

    def note_end(self, recording: MemoryRecording) -> None:
        """From now on it is kept for a while, in no more room than it takes."""
        self._set_room(recording, recording.log.size)
        recording.over_at = self._time()
        self._finished.setdefault(recording.keep_for, OrderedDict())[recording.id] = recording

    def drop(self, recording: MemoryRecording) -> None:
        """Give a recording up, as it cannot be kept; it is unwhole from then on."""
        self.dropped += 1
        self.dropped_bytes += recording.log.size
        self._give_up(recording)
        if self._when_dropped is not None:
            self._when_dropped(recording)

    # What the watch calls.

    async def tick(self, now: float) -> None:
        """Forget what was kept long enough; say how much was dropped since the last look."""
        due: list[MemoryRecording] = []
        for keep_for, finished in self._finished.items():
            for recording in finished.values():
                if recording.over_at is None or now - recording.over_at < keep_for:
                    break
                due.append(recording)
        await in_steps(due, self._forget)
        if dropped := self.dropped - self._dropped_and_told:
            self._dropped_and_told = self.dropped
            logger("streams").warning("answers dropped for a bound", count=dropped, kept=self.size)

    def _is_too_old(self, recording: MemoryRecording) -> bool:
        over_at = recording.over_at
        return over_at is not None and self._time() - over_at >= recording.keep_for

    def _oldest(self) -> MemoryRecording | None:
        """Whichever came to its end first, of all that are over."""
        firsts = [next(iter(kept.values())) for kept in self._finished.values() if kept]
        return min(firsts, key=lambda recording: recording.over_at or 0.0, default=None)

    def _set_room(self, recording: MemoryRecording, room: int) -> None:
        more = room - recording.room
        recording.room = room
        self._people[recording.owner].size += more
        self.size += more

    def _give_up(self, recording: MemoryRecording) -> None:
        """Forget it, and leave nothing to those who still read it."""
        self._forget(recording)
        recording.is_whole = False
        recording.log.clear()
        recording.wake()

    def _forget(self, recording: MemoryRecording) -> None:
        """Nobody finds it any more; who reads it already may read on."""
        if self._kept.get(recording.id) is not recording:
            return
        self._set_room(recording, 0)
        del self._kept[recording.id]
        person = self._people[recording.owner]
        del person.streams[recording.id]
        if not person.streams:
            del self._people[recording.owner]
        if recording.over_at is not None:
            del self._finished[recording.keep_for][recording.id]


class _Person:
    """What is kept of one user: the streams in the order of their beginnings."""

    __slots__ = ("size", "streams")

    def __init__(self) -> None:
        self.size = 0
        # Not a dict: to find its first is slow after many were taken from its beginning.
        self.streams: OrderedDict[str, MemoryRecording] = OrderedDict()

    def finished(self) -> Iterator[MemoryRecording]:
        """Those that are over, the oldest first."""
        return (each for each in self.streams.values() if each.over_at is not None)
