"""Refuses whoever is under deletion, or erased, without asking the store at every request.

The store decides. What it said is remembered: a locked account for good, a free one for a few
seconds only. The process that begins a deletion knows of it at once; the others are told by a
background look at the latest locks, seconds later, and stop that user's running work then.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chuk.accounts.ports import DeletionStore
from chuk.clock import Clock, utc_now
from chuk.errors import Forbidden, ServiceUnavailable
from chuk.logs import log_failure, logger

_SENTENCE = "This account has been deleted, or is being deleted. It cannot be used any more."
_FREE_SECONDS = 15.0
_INTERVAL = 2.0
_MOST_REMEMBERED = 100_000
# Two machines' clocks may differ, and a transaction may commit after a look that began later.
_OVERLAP = timedelta(seconds=60)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class LockedAccounts:
    """Which accounts may do nothing any more.

    While the store cannot be asked, an account that is not known to be locked passes, and that
    is counted: a locked one could then read what costs nothing for a while, but never spend,
    because opening a hold looks at the lock again in its own transaction. Refusing instead would
    turn every short fault of the store into a fault of the whole server.

    Args:
        on_locked: called once for each account that this process learns is locked, with the
            user id; must not block. It stops the user's running work.
        free_seconds: how long a free account is not asked about again.
        interval: seconds between looks at what other processes have locked.
        most_remembered: how many accounts of each kind; the oldest give way.

    Attributes:
        unanswered: how many checks passed because the store could not be asked.
    """

    def __init__(
        self,
        store: DeletionStore,
        *,
        on_locked: Callable[[UUID], object] = lambda _: None,
        clock: Clock = utc_now,
        loop_time: Callable[[], float] = time.monotonic,
        free_seconds: float = _FREE_SECONDS,
        interval: float = _INTERVAL,
        most_remembered: int = _MOST_REMEMBERED,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.unanswered = 0
        self._store = store
        self._on_locked = on_locked
        self._clock = clock
        self._loop_time = loop_time
        self._free_seconds = free_seconds
        self._interval = interval
        self._most_remembered = most_remembered
        self._sleep = sleep
        self._locked: OrderedDict[UUID, None] = OrderedDict()
        self._free: OrderedDict[UUID, float] = OrderedDict()
        self._seen_until = _EVER
        self._is_blind = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look for the locks of other processes in the background."""
        self._task = asyncio.create_task(self._keep_looking(), name="locked accounts")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def check(self, user_id: UUID) -> None:
        """Let a free account pass.

        Raises:
            Forbidden: it is under deletion, or erased.
        """
        if user_id not in self._locked and not self._is_known_free(user_id):
            await self._ask(user_id)
        if user_id in self._locked:
            raise Forbidden(_SENTENCE)

    def is_known_locked(self, user_id: UUID) -> bool:
        """Whether this process already knows that the account is locked; asks nobody."""
        return user_id in self._locked

    def lock(self, user_id: UUID) -> None:
        """Refuse the account from now on in this process, and stop its running work."""
        if user_id in self._locked:
            return
        self._locked[user_id] = None
        self._free.pop(user_id, None)
        if len(self._locked) > self._most_remembered:
            self._locked.popitem(last=False)
        self._on_locked(user_id)

    async def look(self) -> None:
        """Learn what other processes have locked since the last look.

        Raises:
            ServiceUnavailable: the store cannot be reached; the next look covers this one.
        """
        now = self._clock()
        locked = await self._store.locked_since(self._seen_until)
        self._note_sight()
        for user_id in locked:
            self.lock(user_id)
        self._seen_until = now - _OVERLAP

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
            except ServiceUnavailable as error:
                self._note_blindness(error)
            except Exception as error:
                # A defect must not end the looking for good, nor be hidden.
                log_failure("locks", error)
            await self._sleep(self._interval)

    def _is_known_free(self, user_id: UUID) -> bool:
        until = self._free.get(user_id)
        return until is not None and self._loop_time() < until

    async def _ask(self, user_id: UUID) -> None:
        try:
            is_locked = await self._store.is_locked(user_id)
        except ServiceUnavailable as error:
            self.unanswered += 1
            self._note_blindness(error)
            return
        self._note_sight()
        if is_locked:
            self.lock(user_id)
            return
        self._free[user_id] = self._loop_time() + self._free_seconds
        self._free.move_to_end(user_id)
        if len(self._free) > self._most_remembered:
            self._free.popitem(last=False)

    def _note_blindness(self, error: ServiceUnavailable) -> None:
        # Once for each fault: it meets every request while it lasts.
        if not self._is_blind:
            self._is_blind = True
            logger("locks").warning(
                "locks_unknown", error=type(error).__name__, unanswered=self.unanswered
            )

    def _note_sight(self) -> None:
        if self._is_blind:
            self._is_blind = False
            logger("locks").info("locks_known_again", unanswered=self.unanswered)
