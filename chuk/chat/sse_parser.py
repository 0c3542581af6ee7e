"""Server-sent events, taken apart as they arrive.

The grammar is the WHATWG one (https://html.spec.whatwg.org/multipage/server-sent-events.html):
lines end with LF, CRLF or CR; a blank line ends an event; a line that starts with a colon is a
comment. Only `data` matters to a completion, so the other fields are passed over.
"""

from __future__ import annotations

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_END = b"\n\n"
# A long run looks at all that was pushed. Where runs turn out to be short, it must not do so again
# and again: the time would grow with the square of a read.
_LONG_RUNS = 4
_SHORT_RUN = 16


class EventTooLarge(Exception):
    """One event grew over the limit; the stream cannot be trusted any more."""


class EventStreamParser:
    """An incremental parser over arbitrary chunk borders: push what came, then ask for events.

    Args:
        max_event_bytes: an event that grows larger raises `EventTooLarge`, so that a hostile
            upstream costs bounded memory.
    """

    __slots__ = (
        "_at_start",
        "_buffer",
        "_long_runs",
        "_max_event_bytes",
        "_position",
        "_skip_line_feed",
    )

    def __init__(self, max_event_bytes: int = 1_000_000) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = b""
        self._position = 0
        self._long_runs = 0
        self._at_start = True
        self._skip_line_feed = False

    @property
    def is_between_events(self) -> bool:
        """Whether nothing is held of an event in progress: the next read begins a new one."""
        return (
            self._position == len(self._buffer) and not self._at_start and not self._skip_line_feed
        )

    def push(self, chunk: bytes) -> None:
        """Add what upstream sent."""
        if b"\r" in chunk or self._skip_line_feed:
            chunk = self._with_line_feeds_only(chunk)
        if self._position < len(self._buffer):
            chunk = self._buffer[self._position :] + chunk
        self._buffer = chunk
        self._position = 0
        self._long_runs = _LONG_RUNS
        if self._at_start:
            self._pass_mark()

    def next_event(self) -> bytes | None:
        """Return the raw lines of the next complete event (see `data_of`); None when there is none.

        Raises:
            EventTooLarge: the event in progress is over the limit.
        """
        if self._at_start:
            return None
        end = self._buffer.find(_END, self._position)
        if end < 0:
            if self._position:
                # What was taken would stay as long as a slow client holds the next read back.
                self._buffer, self._position = self._buffer[self._position :], 0
            if len(self._buffer) > self._max_event_bytes:
                raise EventTooLarge
            return None
        event = self._buffer[self._position : end]
        self._position = end + len(_END)
        return event

    def run(self, head: bytes, tail: bytes) -> tuple[list[bytes], int]:
        """Look at next events that begin with `head` and end with `tail`, all at once.

        Returns:
            What stands between head and tail in each, and how many bytes they take together
            (see `skip`). Nothing is consumed yet.
        """
        buffer, position = self._buffer, self._position
        if not buffer.startswith(head, position):
            return [], 0
        if not self._long_runs:
            return _leading(buffer, position, head, tail)
        self._long_runs -= 1
        end = buffer.rfind(tail + _END, position)
        if end < 0:
            return [], 0
        run = buffer[position : end + len(tail)]
        # Split at one byte, then compared as a whole: a search for anything longer, or a look at
        # each event, takes several times as long.
        inside = slice(len(head), -len(tail))
        middles = [event[inside] for event in run.split(b"\n")[::2]]
        if head + (tail + _END + head).join(middles) + tail != run:
            return _leading(buffer, position, head, tail)
        return middles, len(run) + len(_END)

    def skip(self, length: int) -> None:
        """Consume the events that `run` looked at."""
        self._position += length

    def _pass_mark(self) -> None:
        """Pass over a byte order mark, which may arrive in pieces."""
        if not _BYTE_ORDER_MARK.startswith(self._buffer[:3]):
            self._at_start = False
        elif len(self._buffer) >= len(_BYTE_ORDER_MARK):
            self._at_start = False
            self._position = len(_BYTE_ORDER_MARK)

    def _with_line_feeds_only(self, chunk: bytes) -> bytes:
        if self._skip_line_feed:
            if not chunk:
                return chunk
            # The CR that ended the chunk before was already taken as the line's end.
            chunk = chunk.removeprefix(b"\n")
            self._skip_line_feed = False
        if chunk.endswith(b"\r"):
            self._skip_line_feed = True
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _leading(buffer: bytes, position: int, head: bytes, tail: bytes) -> tuple[list[bytes], int]:
    """The same as `run` for a few events, without a look at what follows them."""
    middles: list[bytes] = []
    start = position
    while len(middles) < _SHORT_RUN and buffer.startswith(head, start):
        end = buffer.find(_END, start)
        if end < 0 or not buffer.endswith(tail, start + len(head), end):
            break
        middles.append(buffer[start + len(head) : end - len(tail)])
        start = end + len(_END)
    return middles, start - position


def data_of(event: bytes) -> bytes | None:
    """The data lines of one event, joined; None where they say nothing (comments, other fields)."""
    # Nearly every event is one line of data: no need to look at its lines.
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:] or None
    lines = []
    for line in event.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines) or None
