"""Slots for heavy work: few at once, a bounded queue before them, and turns between users."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from chuk.errors import ServiceUnavailable

_FIRST_GUESS = 2.0  # seconds that a job takes, before one has been seen
_WEIGHT = 0.2  # of the newest job in the mean
_LONGEST_WAIT = 60


class Jobs:
    """Who may work now, and who next.

    A free slot goes to the user with the fewest jobs running; among equals, to the one who was
    served longest ago. When the queue is full, a newcomer takes the place of the newest job of
    whoever has the most in it, so that nobody can fill it alone.

    Args:
        at_once: jobs that run at the same time.
        waiting: jobs that may wait for a slot.
        clock: seconds that only ever grow.
    """

    def __init__(
        self, at_once: int, waiting: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._at_once = at_once
        self._most_waiting = waiting
        self._clock = clock
        self._running: Counter[UUID] = Counter()
        # In the order in which users will be served; each with the jobs that wait, oldest first.
        self._queues: dict[UUID, deque[asyncio.Future[None]]] = {}
        self._mean = _FIRST_GUESS

    @property
    def running(self) -> int:
        """Jobs that run."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return sum(len(queue) for queue in self._queues.values())

    @asynccontextmanager
    async def slot(self, user_id: UUID) -> AsyncIterator[None]:
        """Wait for a slot, and have it while the block runs.

        Raises:
            ServiceUnavailable: too many wait already; says when to try again.
        """
        await self._enter(user_id)
        started = self._clock()
        try:
            yield
        finally:
            self._mean += _WEIGHT * (self._clock() - started - self._mean)
            self._leave(user_id)

    async def _enter(self, user_id: UUID) -> None:
        if self.running < self._at_once and not self._queues:
            self._running[user_id] += 1
            return
        if self.waiting >= self._most_waiting:
            self._make_room(user_id)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(user_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # The slot came in the same moment as the end.
                self._leave(user_id)
            else:
                self._forget(user_id, turn)
            raise

    def _make_room(self, user_id: UUID) -> None:
        """Turn away whoever waits with the most jobs: another user's newest, or this one."""
        mine = len(self._queues.get(user_id, ()))
        greediest = max(self._queues, key=lambda user: len(self._queues[user]), default=user_id)
        if len(self._queues.get(greediest, ())) <= mine + 1:
            raise self._refusal()
        turned_away = self._queues[greediest][-1]
        self._forget(greediest, turned_away)
        turned_away.set_exception(self._refusal())

    def _leave(self, user_id: UUID) -> None:
        self._running[user_id] -= 1
        if not self._running[user_id]:
            del self._running[user_id]
        if not self._queues:
            return
        if user_id in self._queues:
            # Whoever has just been served is the last among equals.
            self._queues[user_id] = self._queues.pop(user_id)
        # The first of the least busy: `min` keeps the order of the queues.
        chosen = min(self._queues, key=lambda user: self._running[user])
        queue = self._queues.pop(chosen)
        queue.popleft().set_result(None)
        if queue:
            self._queues[chosen] = queue
        self._running[chosen] += 1

    def _forget(self, user_id: UUID, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(user_id)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[user_id]

    def _refusal(self) -> ServiceUnavailable:
        seconds = self._mean * (self.waiting + 1) / self._at_once
        return ServiceUnavailable(
            "Too many requests are waiting for this. Please try again shortly.",
            retry_after=min(_LONGEST_WAIT, max(1, math.ceil(seconds))),
        )
