"""One turn as this process's memory keeps it, and those who wait for more of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chuk.chat.event_log import EventLog
from chuk.chat.events import Failed, TurnEvent
from chuk.chat.ports import StreamFacts, StreamState
from chuk.logs import log_failure


class Shelf(Protocol):
    """Where recordings stand, and have to share the room."""

    def make_room(self, recording: MemoryRecording) -> None:
        """Set aside room for what it has grown to; makes it unwhole where there is none."""
        ...

    def note_end(self, recording: MemoryRecording) -> None:
        """It grows no more."""
        ...

    def drop(self, recording: MemoryRecording) -> None:
        """Give it up; makes it unwhole."""
        ...


class MemoryRecording:
    """One turn, taken down; see `chuk.chat.ports.Recording`."""

    __slots__ = (
        "_store",
        "_waiting",
        "followers",
        "id",
        "is_whole",
        "keep_for",
        "log",
        "model_id",
        "over_at",
        "owner",
        "room",
        "started_at",
    )

    def __init__(
        self,
        store: Shelf,
        stream_id: str,
        owner: UUID,
        model_id: str,
        *,
        keep: float,
        started_at: datetime,
    ) -> None:
        self.id = stream_id
        self.owner = owner
        self.model_id = model_id
        self.started_at = started_at
        self.keep_for = keep
        self.over_at: float | None = None
        self.log = EventLog()
        self.room = 0
        self.is_whole = True
        self.followers = 0
        self._store = store
        self._waiting: list[asyncio.Future[None]] | None = None

    def keep(self, first_number: int, events: Sequence[TurnEvent]) -> None:
        """See `chuk.chat.ports.Recording.keep`."""
        if self.is_whole:
            log = self.log
            try:
                log.append(events)
            except TypeError as error:
                # A defect of who made the event must not end the turn, nor be hidden.
                log_failure("streams", error, stream=self.id)
                self._store.drop(self)
                return
            if log.size > self.room:
                self._store.make_room(self)
            if log.end is not None and self.is_whole:
                self._store.note_end(self)
            if self._waiting is not None:
                self.wake()

    def facts(self) -> StreamFacts:
        """As its owner sees it."""
        end, last = self.log.end, self.log.last_number
        state = StreamState.RUNNING
        if end is not None:
            state = StreamState.FAILED if isinstance(end, Failed) else StreamState.DONE
        # The end after success has no number to a client.
        shown = last - 1 if state is StreamState.DONE else last
        return StreamFacts(self.id, self.owner, self.model_id, self.started_at, state, shown)

    async def news(self) -> None:
        """Wait until there is more, or no more is to come."""
        news = asyncio.get_running_loop().create_future()
        self._waiting = [*(self._waiting or ()), news]
        await news

    def wake(self) -> None:
        """Tell who follows that something has changed."""
        waiting, self._waiting = self._waiting, None
        for news in waiting or ():
            if not news.done():
                news.set_result(None)
