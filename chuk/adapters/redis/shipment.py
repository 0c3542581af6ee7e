"""The recording of one turn that is brought to Redis as it grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chuk.adapters.redis.sealing import StreamSeal
from chuk.chat.event_log import Reading
from chuk.chat.events import ToolCalls, TurnEvent, count_events
from chuk.chat.memory_recording import MemoryRecording

# A batch is at most so many reads of some kilobytes.
_MOST_READS = 4


class Shipment:
    """The recording of one turn: kept here first, and brought to Redis after.

    Args:
        queue: called when there is more to bring.

    Attributes:
        following: the number of the first event that Redis does not have.
        is_new: Redis knows nothing of it.
        is_known: that is certain; not so after a call that nobody answered.
        is_delivered: all of it is there, its end included.
        is_over: nothing more is brought: it is done, or it cannot be.
    """

    __slots__ = (
        "_ahead",
        "_queue",
        "_reading",
        "following",
        "id",
        "inner",
        "is_delivered",
        "is_known",
        "is_new",
        "is_over",
        "is_queued",
        "seal",
    )

    def __init__(
        self, inner: MemoryRecording, seal: StreamSeal, queue: Callable[[Shipment], None]
    ) -> None:
        self.id = inner.id
        self.inner = inner
        self.seal = seal
        self.following = 1
        self.is_new = self.is_known = True
        self.is_queued = self.is_delivered = self.is_over = False
        self._queue = queue
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
            self._queue(self)

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
