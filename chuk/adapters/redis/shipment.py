"""The recording of one turn that is brought to Redis as it grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chuk.adapters.redis.sealing import StreamSeal
from chuk.chat.event_log import Place
from chuk.chat.events import TurnEvent
from chuk.chat.memory_recording import MemoryRecording

# Of one batch, about.
_MOST_BYTES = 65_536


class Shipment:
    """The recording of one turn: kept here first, and brought to Redis after.

    Args:
        seal_of: makes the seal of a stream, once something is to be sealed.
        queue: called when there is more to bring.

    Attributes:
        waits_since: seconds of the event loop; when it was last queued.
        is_new: Redis knows nothing of it.
        is_known: that is certain; not so after a call that nobody answered.
        is_delivered: all of it is there, its end included.
        is_over: nothing more is brought: it is done, or it cannot be.
    """

    __slots__ = (
        "_place",
        "_queue",
        "_seal",
        "_seal_of",
        "id",
        "inner",
        "is_delivered",
        "is_known",
        "is_new",
        "is_over",
        "is_queued",
        "waits_since",
    )

    def __init__(
        self,
        inner: MemoryRecording,
        seal_of: Callable[[str], StreamSeal],
        queue: Callable[[Shipment], None],
    ) -> None:
        self.id = inner.id
        self.inner = inner
        self.waits_since = 0.0
        self.is_new = self.is_known = True
        self.is_queued = self.is_delivered = self.is_over = False
        self._seal_of = seal_of
        self._seal: StreamSeal | None = None
        self._queue = queue
        # Up to where it is known to be in Redis.
        self._place = Place(inner.log)

    @property
    def is_whole(self) -> bool:
        """See `chuk.chat.ports.Recording.is_whole`."""
        return self.inner.is_whole

    @property
    def seal(self) -> StreamSeal:
        """Of this stream."""
        if self._seal is None:
            self._seal = self._seal_of(self.id)
        return self._seal

    @property
    def following(self) -> int:
        """The number of the first event that Redis does not have."""
        return self._place.following

    def keep(self, first_number: int, events: Sequence[TurnEvent]) -> None:
        """See `chuk.chat.ports.Recording.keep`."""
        self.inner.keep(first_number, events)
        if not self.is_queued:
            self._queue(self)

    def may_soon_end(self, now: float, seconds: float) -> bool:
        """Whether it began less than so many seconds ago, is not in Redis, and goes on."""
        return (
            self.is_new
            and now - self.waits_since < seconds
            and self.inner.log.end is None
            and self.inner.is_whole
        )

    def batch(self) -> tuple[bytes, Place]:
        """What goes next, and up to where; the same and more until `sent` or `go_back`."""
        return self._place.take(_MOST_BYTES)

    def end_before(self, place: Place) -> TurnEvent | None:
        """The turn's end, where it stands before this place."""
        log = self.inner.log
        return log.end if place.following > log.last_number else None

    def sent(self, place: Place) -> None:
        """Redis has all up to this place."""
        self.is_new = False
        self._place = place
        self.is_delivered = self.end_before(place) is not None

    def go_back(self, following: int) -> None:
        """Redis has all before this number, and nothing more; 1: nothing at all."""
        self.is_known, self.is_new = True, following == 1
        self._place = self._place.before(following)
