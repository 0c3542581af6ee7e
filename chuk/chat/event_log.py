"""A turn's events, kept in little space, to be read again from any number on.

A piece of an answer is the inside of a JSON string, so that no control character ever stands in
it: pieces that follow each other are one run of bytes, with a line feed after each. An event of
its own for each piece would take thirty times the space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

# Measured: what an empty log and the objects around it take, and any event that is no piece.
_LOG_BYTES = 1_000
_EVENT_BYTES = 200
_DELTA_BYTES = 48
# What is read at once: a client that comes back late must not hold up everybody else.
_MOST_BYTES = 16_384


@dataclass(slots=True)
class Stretch:
    """Pieces of one kind that follow each other, as a log has them: with a line feed between."""

    kind: type[Content] | type[Reasoning]
    text: bytes


class _Run:
    """Pieces of one kind that follow each other, a line feed after each."""

    __slots__ = ("kind", "text")

    def __init__(self, kind: type[Content] | type[Reasoning]) -> None:
        self.kind = kind
        self.text = bytearray()


class EventLog:
    """The events of one turn from its first on.

    Attributes:
        size: about how many bytes of memory it takes.
        last_number: of the newest event.
        end: the last event, once it is there; `Done` has a number like the others here.
    """

    __slots__ = ("end", "entries", "last_number", "run", "size")

    def __init__(self) -> None:
        self.size = _LOG_BYTES
        self.last_number = 0
        self.end: Done | Failed | None = None
        self.entries: list[_Run | TurnEvent] = []
        self.run: _Run | None = None

    def append(self, events: Sequence[TurnEvent]) -> None:
        """Keep the next events."""
        for event in events:
            if type(event) is Content or type(event) is Reasoning:
                run, pieces = self.run, event.pieces
                if run is None or type(event) is not run.kind:
                    run = self.run = _Run(type(event))
                    self.entries.append(run)
                    self.size += _EVENT_BYTES
                text = b"%b\n" % (pieces[0] if len(pieces) == 1 else b"\n".join(pieces))
                run.text += text
                self.last_number += len(pieces)
                self.size += len(text)
                continue
            self.run = None
            self.entries.append(event)
            if type(event) is ToolCalls:
                self.size += _size_of(event)
                continue
            self.last_number += 1
            self.size += _EVENT_BYTES
            if type(event) is Done or type(event) is Failed:
                self.end = event

    def clear(self) -> None:
        """Give the memory back; who reads finds nothing more."""
        self.entries.clear()
        self.run = None


def _size_of(event: TurnEvent) -> int:
    """About how many bytes an event takes that is no piece."""
    if isinstance(event, ToolCalls):
        # A model that writes a file by a tool says all of it here.
        return _EVENT_BYTES + sum(map(len, event.deltas)) + _DELTA_BYTES * len(event.deltas)
    return _EVENT_BYTES


class Reading:
    """One reader's place in a log that may still grow.

    Args:
        after: the number of the last event that is not wanted again. The end of a turn always
            is: without it nobody knows that there is nothing more.
    """

    __slots__ = ("_after", "_entry", "_log", "_next", "_offset")

    def __init__(self, log: EventLog, after: int) -> None:
        self._log = log
        self._after = after
        self._next = 1
        self._entry = self._offset = 0

    def read(self) -> Kept | None:
        """The next events, some kilobytes at most; None: there is nothing more by now."""
        first, events, size = 0, list[TurnEvent](), 0
        while size < _MOST_BYTES and (event := self._event()) is not None:
            number = self._next
            self._next += count_events((event,))
            wanted = event
            if number <= self._after:
                if self._next <= self._after + 1 and not isinstance(event, (Done, Failed)):
                    continue
                if isinstance(event, (Content, Reasoning)):
                    wanted = type(event)(event.pieces[self._after + 1 - number :])
                    number = self._after + 1
            if not events:
                first = number
            events.append(wanted)
            size += (
                sum(map(len, wanted.pieces))
                if isinstance(wanted, (Content, Reasoning))
                else _size_of(wanted)
            )
        return (first, events) if events else None

    def _event(self) -> TurnEvent | None:
        """The next entry, or the next part of a long run."""
        entries = self._log.entries
        while self._entry < len(entries):
            entry = entries[self._entry]
            if not isinstance(entry, _Run):
                self._entry += 1
                return entry
            text, start = entry.text, self._offset
            if start < len(text):
                end = text.find(b"\n", start + _MOST_BYTES) + 1 or len(text)
                self._offset = end
                return entry.kind(bytes(text[start : end - 1]).split(b"\n"))
            if self._entry + 1 == len(entries):
                return None  # it may still grow
            self._entry, self._offset = self._entry + 1, 0
        return None


class Place:
    """Up to where somebody has taken a log over as it is, without taking its pieces apart.

    Never moved: who does not know whether what was taken has come anywhere takes it once more.

    Attributes:
        following: the number of the first event after it.
    """

    __slots__ = ("_entry", "_log", "_offset", "following")

    def __init__(self, log: EventLog, entry: int = 0, offset: int = 0, following: int = 1) -> None:
        self._log = log
        self._entry = entry
        self._offset = offset
        self.following = following

    def take(self, most: int) -> tuple[list[Stretch | TurnEvent], Place]:
        """What comes next, not many bytes more than `most`, and the place after it.

        Tool calls, which have no number, are left until there is the event that follows them.
        """
        entries, entry, offset = self._log.entries, self._entry, self._offset
        taken: list[Stretch | TurnEvent] = []
        size, following = 0, self.following
        # Of what has a number, which may be more than the size allows: else it would never move.
        length, reached = 0, (entry, offset)
        while (size < most or not length) and entry < len(entries):
            found = entries[entry]
            if isinstance(found, _Run):
                text = found.text
                if offset < len(text):
                    end = len(text)
                    if end - offset > most:
                        end = text.find(b"\n", offset + most) + 1 or end
                    piece = bytes(text[offset : end - 1])
                    taken.append(Stretch(found.kind, piece))
                    size += end - offset
                    following += piece.count(b"\n") + 1
                    offset = end
                    length, reached = len(taken), (entry, offset)
                if offset == len(text):
                    if entry + 1 == len(entries):
                        break  # it may still grow
                    entry, offset = entry + 1, 0
                continue
            taken.append(found)
            entry += 1
            if isinstance(found, ToolCalls):
                size += _size_of(found)
            else:
                size += _EVENT_BYTES
                following += 1
                length, reached = len(taken), (entry, 0)
        return taken[:length], Place(self._log, *reached, following)

    def before(self, number: int) -> Place:
        """The place that the event of this number follows, from the beginning of the log."""
        missing, entry = number - 1, 0
        for found in self._log.entries:
            if not missing:
                break
            if isinstance(found, _Run):
                count = found.text.count(b"\n")
                if count >= missing:
                    offset = 0
                    for _ in range(missing):
                        offset = found.text.find(b"\n", offset) + 1
                    return Place(self._log, entry, offset, number)
                missing -= count
            elif not isinstance(found, ToolCalls):
                missing -= 1
            entry += 1
        return Place(self._log, entry, 0, number)
