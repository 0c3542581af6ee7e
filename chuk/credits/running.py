"""Work that is paid for by `Credits.hold`, and that can be stopped from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

from chuk.errors import Forbidden


class _Work:
    """One piece of work: how it is stopped, and when nothing of it is left."""

    def __init__(self) -> None:
        self.limit: asyncio.Timeout | None = None
        self.is_stopped = False
        self.over = asyncio.Event()

    def stop(self) -> None:
        self.is_stopped = True
        if self.limit is not None and not self.limit.expired():
            self.limit.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        """Let the block run until it is stopped.

        Raises:
            Forbidden: it was.
        """
        if self.is_stopped:
            raise Forbidden
        try:
            async with asyncio.timeout(None) as self.limit:
                yield
        except TimeoutError:
            if self.limit is not None and self.limit.expired():
                raise Forbidden from None
            raise
        finally:
            self.limit = None


class RunningWork:
    """What is under way, by user."""

    def __init__(self) -> None:
        self._running: dict[UUID, set[_Work]] = {}

    @contextmanager
    def of(self, user_id: UUID) -> Iterator[_Work]:
        """Know of a piece of work until the block ends, which closes its books."""
        work = _Work()
        mine = self._running.setdefault(user_id, set())
        mine.add(work)
        try:
            yield work
        finally:
            mine.discard(work)
            if not mine and self._running.get(user_id) is mine:
                del self._running[user_id]
            work.over.set()

    async def stopped(self, user_id: UUID) -> None:
        """Stop all of a user's, and wait until nothing of it is left."""
        works = tuple(self._running.get(user_id, ()))
        for work in works:
            work.stop()
        for work in works:
            await work.over.wait()
