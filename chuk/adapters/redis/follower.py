"""One who follows a turn of another process, and what of its events is still to be told."""

from __future__ import annotations

import asyncio
from collections import deque

from chuk.adapters.redis.records import Entry
from chuk.chat.events import Content, Done, Failed, Reasoning, TurnEvent, count_events
from chuk.chat.ports import Kept
from chuk.errors import ChukError, NotFound, ServiceUnavailable, StreamInterrupted

# A follower whose client does not read as fast looks them up again later.
_MOST_WAITING = 200


class Follower:
    """What came for one who follows, and is not told yet.

    Attributes:
        after: the number of the last event that was told.
        has_been_told: anything.
        has_missed: what comes next has to be looked up.
    """

    __slots__ = ("after", "entries", "has_been_told", "has_missed", "news")

    def __init__(self, after: int) -> None:
        self.after = after
        self.entries: deque[Entry] = deque()
        self.has_been_told = False
        self.has_missed = True
        self.news = asyncio.Event()

    def give(self, entry: Entry) -> None:
        if len(self.entries) >= _MOST_WAITING:
            self.miss()
        if not self.has_missed:
            self.entries.append(entry)
        self.news.set()

    def miss(self) -> None:
        """Something may have passed by: it has to be looked up."""
        self.entries.clear()
        self.has_missed = True
        self.news.set()


class Followed:
    """A stream that somebody here follows, and up to where the waiting call has read it.

    Before anybody has read it, the call does not wait for it.
    """

    __slots__ = ("followers", "read_to")

    def __init__(self) -> None:
        self.followers: list[Follower] = []
        self.read_to: bytes | None = None


def rest_after(kept: Kept, after: int) -> Kept | None:
    """What of these events comes after the one of that number; an end always does."""
    first, events = kept
    if first > after:
        return kept
    rest: list[TurnEvent] = []
    number, beginning = first, 0
    for event in events:
        count = count_events((event,))
        wanted = event
        if number <= after and not isinstance(event, (Done, Failed)):
            if number + count <= after + 1:
                number += count
                continue
            if isinstance(event, (Content, Reasoning)):
                wanted = type(event)(event.pieces[after + 1 - number :])
        if not rest:
            beginning = max(number, min(after + 1, number + count - 1))
        rest.append(wanted)
        number += count
    return (beginning, rest) if rest else None


def away() -> ServiceUnavailable:
    """What a client is told who asks for what only Redis knows, while it is away."""
    return ServiceUnavailable("This answer cannot be reached right now. Please try again shortly.")


def gone(follower: Follower) -> ChukError:
    if follower.has_been_told:
        return StreamInterrupted()
    return NotFound("This answer is not kept, or not any more.")
