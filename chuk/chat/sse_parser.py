"""Server-sent events, taken apart as they arrive.

The grammar is the WHATWG one (https://html.spec.whatwg.org/multipage/server-sent-events.html):
lines end with LF, CRLF or CR; a blank line ends an event; a line that starts with a colon is a
comment. Only `data` matters to a completion, so the other fields are passed over.
"""

from __future__ import annotations

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(Exception):
    """One event grew over the limit; the stream cannot be trusted any more."""


class EventStreamParser:
    """An incremental parser over arbitrary chunk borders.

    Args:
        max_event_bytes: an event that grows larger raises `EventTooLarge`, so that a hostile
            upstream costs bounded memory.
    """

    __slots__ = ("_at_start", "_max_event_bytes", "_rest", "_skip_line_feed")

    def __init__(self, max_event_bytes: int = 1_000_000) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self._at_start = True
        self._skip_line_feed = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the `data` of each event that this chunk completes.

        Raises:
            EventTooLarge: the event in progress is over the limit.
        """
        if b"\r" in chunk or self._skip_line_feed:
            chunk = self._with_line_feeds_only(chunk)
        buffer = self._rest + chunk if self._rest else chunk
        if self._at_start:
            # The mark itself may arrive in pieces.
            if len(buffer) < 3 and _BYTE_ORDER_MARK.startswith(buffer):
                self._rest = buffer
                return []
            buffer = buffer.removeprefix(_BYTE_ORDER_MARK)
            self._at_start = False
        blocks = buffer.split(b"\n\n")
        self._rest = blocks.pop()
        if len(self._rest) > self._max_event_bytes:
            raise EventTooLarge
        payloads = []
        for block in blocks:
            # Nearly every event is one line of data: no need to look at its lines.
            if block.startswith(b"data: ") and b"\n" not in block:
                payloads.append(block[6:])
            elif (payload := _data_of(block)) is not None:
                payloads.append(payload)
        return payloads

    def finish(self) -> list[bytes]:
        """Return what a stream that ended without its last blank line still held.

        The specification would drop it; servers that forget the blank line after `[DONE]` are
        common enough to be kind to.
        """
        return self.feed(b"\n\n") if self._rest else []

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


def _data_of(block: bytes) -> bytes | None:
    """The data lines of one block, joined; None where it has none (comments, other fields)."""
    lines = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines) if lines else None
