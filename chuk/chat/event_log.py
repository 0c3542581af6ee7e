"""A turn's events, kept as one run of bytes, to be read again from any number on.

They lie as `event_codec` puts them, and pieces of one kind that follow each other are one event,
which grows. So an answer takes few more bytes than it has, is one object however many events it
has, and goes to another process as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chuk.chat.event_codec import (
    BETWEEN_EVENTS,
    BETWEEN_PIECES,
    NAMES,
    decode_event,
    encode_event,
)
from chuk.chat.events import (
    Content,
    Done,
    Failed,
    Reasoning,
    ToolCalls,
    TurnEvent,
    count_events,
)
from chuk.chat.ports import Kept

# Measured: what an empty log and the objects around it take.
_LOG_BYTES = 1_000
# What is read at once: a client that comes back late must not hold up everybody else.
_MOST_BYTES = 16_384
_PIECE = ord(BETWEEN_PIECES)
_RUNS = {NAMES[Content], NAMES[Reasoning]}
_CALLS = NAMES[ToolCalls]


class EventLog:
    """The events of one turn from its first on.

    Attributes:
        data: all of them, as `event_codec.decode` takes them.
        last_number: of the newest event.
        end: the last event, once it is there; `Done` has a number like the others here.
        numbered: how many bytes there are up to the end of the newest event that has a number.
        run: the kind of the last event, if it consists of pieces: more of them may follow.
    """

    __slots__ = ("data", "end", "last_number", "numbered", "run")

    def __init__(self) -> None:
        self.data = bytearray()
        self.last_number = self.numbered = 0
        self.end: Done | Failed | None = None
        self.run: type[Content] | type[Reasoning] | None = None

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return _LOG_BYTES + len(self.data)

    def append(self, events: Sequence[TurnEvent]) -> None:
        """Keep the next events.

        Raises:
            TypeError: one of them cannot be put into bytes.
        """
        data = self.data
        for event in events:
            kind = type(event)
            if kind is Content or kind is Reasoning:
                pieces = event.pieces  # type: ignore[union-attr]
                if kind is self.run:
                    data += b"\n%b" % (pieces[0] if len(pieces) == 1 else b"\n".join(pieces))
                else:
                    self._add(encode_event(event))
                    self.run = kind
                self.last_number += len(pieces)
            else:
                self._add(encode_event(event))
                self.run = None
                if kind is ToolCalls:
                    continue
                self.last_number += 1
                if kind is Done or kind is Failed:
                    self.end = event  # type: ignore[assignment]
            self.numbered = len(data)

    def clear(self) -> None:
        """Give the memory back; who reads finds nothing more."""
        self.data.clear()
        self.numbered = 0
        self.run = None

    def _add(self, event: bytes) -> None:
        self.data += b"\x00%b" % event if self.data else event


class _Part(NamedTuple):
    """An event in a log, or what is left of one that consists of pieces.

    Attributes:
        name: of its kind.
        begin, body, end: where it begins, its name included if it is whole, where its pieces or
            fields do, and where it ends.
    """

    name: bytes
    begin: int
    body: int
    end: int


class Reading:
    """One reader's place in a log that may still grow.

    Args:
        after: the number of the last event that is not wanted again. The end of a turn always
            is: without it nobody knows that there is nothing more.
    """

    __slots__ = ("_after", "_log", "_next", "_offset", "_run")

    def __init__(self, log: EventLog, after: int) -> None:
        self._log = log
        self._after = after
        self._next = 1
        self._offset, self._run = 0, b""

    def read(self) -> Kept | None:
        """The next events, some kilobytes at most; None: there is nothing more by now."""
        first, events, size = 0, list[TurnEvent](), 0
        while size < _MOST_BYTES:
            begin = self._offset
            if (event := self._event()) is None:
                break
            number = self._next
            self._next += count_events((event,))
            if number <= self._after:
                if self._next <= self._after + 1 and not isinstance(event, (Done, Failed)):
                    continue
                if isinstance(event, (Content, Reasoning)):
                    event = type(event)(event.pieces[self._after + 1 - number :])
                    number = self._after + 1
            if not events:
                first = number
            events.append(event)
            size += self._offset - begin
        return (first, events) if events else None

    def _event(self) -> TurnEvent | None:
        """The next event, or the next part of a long one."""
        data = self._log.data
        part = next(_parts(data, self._offset, self._run), None)
        if part is None:
            return None
        self._run, self._offset = part.name, part.end
        if part.name not in _RUNS:
            return decode_event(bytes(data[part.begin : part.end]))
        self._offset = _end_of_piece(data, part, part.body + _MOST_BYTES)
        return _pieces_of(data, part, self._offset)


class Place:
    """Up to where somebody has taken a log over as it is, without taking its pieces apart.

    Never moved: who does not know whether what was taken has come anywhere takes it once more.

    Attributes:
        following: the number of the first event after it.
    """

    __slots__ = ("_log", "_offset", "_run", "following")

    def __init__(
        self, log: EventLog, offset: int = 0, run: bytes = b"", following: int = 1
    ) -> None:
        self._log = log
        self._offset = offset
        self._run = run
        self.following = following

    def take(self, most: int) -> tuple[bytes, Place]:
        """What comes next, not many bytes more than `most`, and the place after it.

        For `event_codec.decode`; empty: there is nothing more by now. Tool calls, which have no
        number, are left until there is the event that follows them.
        """
        log = self._log
        if self._offset >= log.numbered:
            return b"", self
        if log.numbered - self._offset <= most:
            run = b"" if log.run is None else NAMES[log.run]
            place = Place(log, log.numbered, run, log.last_number + 1)
        else:
            place = self._after(most)
        taken = log.data[self._offset : place._offset]
        if not self._offset:
            return bytes(taken), place
        if taken[0] == _PIECE:
            return self._run + taken, place
        return bytes(taken[len(BETWEEN_EVENTS) :]), place

    def before(self, number: int) -> Place:
        """The place that the event of this number follows, from the beginning of the log."""
        data, missing, end, run = self._log.data, number - 1, 0, b""
        for part in _parts(data, 0, b""):
            if not missing:
                break
            end, run = part.end, part.name
            if part.name in _RUNS:
                count = data.count(BETWEEN_PIECES, part.body, part.end) + 1
                if count > missing:
                    end = part.body - 1
                    for _ in range(missing):
                        end = data.find(BETWEEN_PIECES, end + 1)
                    break
                missing -= count
            elif part.name != _CALLS:
                missing -= 1
        return Place(self._log, end, run, number)

    def _after(self, most: int) -> Place:
        """The place after about so many bytes of those that have a number."""
        data, begin = self._log.data, self._offset
        reached, run, following = begin, self._run, self.following
        for part in _parts(data, begin, self._run):
            if part.name == _CALLS:
                # They may be more than the size allows: else it would never move.
                if part.end - begin >= most and reached > begin:
                    break
                continue
            reached, run = part.end, part.name
            if part.name in _RUNS:
                reached = _end_of_piece(data, part, begin + most)
                following += data.count(BETWEEN_PIECES, part.body, reached)
            following += 1
            if reached - begin >= most:
                break
        return Place(self._log, reached, run, following)


def _parts(data: bytearray, offset: int, run: bytes) -> Iterator[_Part]:
    """What comes after an offset.

    Args:
        run: the name of what the offset is in, or at the end of.
    """
    while offset < len(data):
        if offset and data[offset] == _PIECE:
            begin, body = offset, offset + 1
        else:
            begin = offset + len(BETWEEN_EVENTS) if offset else 0
            body = data.find(BETWEEN_PIECES, begin) + 1
            run = bytes(data[begin : body - 1])
        end = data.find(BETWEEN_EVENTS, body)
        offset = len(data) if end < 0 else end
        yield _Part(run, begin, body, offset)


def _end_of_piece(data: bytearray, part: _Part, enough: int) -> int:
    """Where the piece ends with which there is enough of this part."""
    end = data.find(BETWEEN_PIECES, max(part.body, enough), part.end)
    return part.end if end < 0 else end


def _pieces_of(data: bytearray, part: _Part, end: int) -> Content | Reasoning:
    pieces = bytes(data[part.body : end]).split(BETWEEN_PIECES)
    return Content(pieces) if part.name == NAMES[Content] else Reasoning(pieces)
