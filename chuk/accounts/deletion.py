"""Erases accounts: one durable job for each, which goes on until everything is gone.

The lock and the record of the deletion are written first, in one transaction; from then on
nothing is forgotten. A process that holds the deletion's lease runs the missing steps in their
order and notes each as done. What fails, or is cut by a crash, is due again later. A step may
run more than once, and one that is done never runs again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chuk.accounts.locks import LockedAccounts
from chuk.accounts.ports import Deletion, DeletionStep, DeletionStore, OpenHoldsError
from chuk.accounts.principal import log_name
from chuk.clock import Clock, utc_now
from chuk.errors import ChukError, ServiceUnavailable
from chuk.leadership import ALONE, Leadership
from chuk.logs import log_failure, logger

_AT_ONCE = 5.0
_MOST_AT_ONCE = 8
# The attempt ends before its lease does, so that no two processes work on one deletion.
_SHARE_OF_LEASE = 0.8
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class DeletionPace:
    """How patiently deletions go on. Seconds.

    Attributes:
        interval: between looks for deletions that are due.
        first_retry, longest_retry: the wait after a failure; it doubles from the one up to the
            other.
        lease: after this a deletion whose process died is taken over.
        at_once: how long a request waits for what can be done before it is answered.
    """

    interval: float = 5.0
    first_retry: float = 5.0
    longest_retry: float = 3600.0
    lease: float = 60.0
    at_once: float = _AT_ONCE

    def wait_after(self, attempts: int) -> timedelta:
        """How long to wait after the failure that followed `attempts` earlier ones."""
        doubled = self.first_retry * 2 ** min(attempts, _MOST_DOUBLINGS)
        return timedelta(seconds=min(doubled, self.longest_retry))


class Records:
    """The step that erases what our own store knows of the user."""

    name = "records"

    def __init__(self, store: DeletionStore) -> None:
        self._store = store

    async def run(self, user_id: UUID) -> None:
        """Erase every row; `OpenHoldsError` while work of the user is not settled."""
        await self._store.erase_records(user_id)


class Deletions:
    """Every deletion that this process begins or takes over.

    Args:
        steps: in the order in which they must happen; each begins when all before it are done.
        owner: this process, for leases.
        log_salt: makes the names that stand for users in logs.
        leadership: who goes on with what is due, whoever began it.

    Attributes:
        failures: how often each step failed since the start, by its name; under `store`, how
            often the store could not be asked.
    """

    def __init__(
        self,
        store: DeletionStore,
        steps: Sequence[DeletionStep],
        *,
        locks: LockedAccounts,
        owner: str,
        log_salt: bytes,
        pace: DeletionPace | None = None,
        leadership: Leadership = ALONE,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.failures: Counter[str] = Counter()
        self._store = store
        self._steps = tuple(steps)
        self._locks = locks
        self._owner = owner
        self._log_salt = log_salt
        self._pace = pace or DeletionPace()
        self._leadership = leadership
        self._clock = clock
        self._sleep = sleep
        self._beginning: set[asyncio.Task[tuple[Deletion | None, _Attempt | None]]] = set()
        self._running: dict[str, _Attempt] = {}
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on with whatever is unfinished, in the background, now and from time to time."""
        self._task = asyncio.create_task(self._keep_going(), name="deletions")

    async def close(self) -> None:
        """Stop, and leave what is unfinished to whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._beginning:
            await asyncio.wait(self._beginning)
        attempts = tuple(self._running.values())
        for attempt in attempts:
            attempt.task.cancel()
        if attempts:
            await asyncio.wait([attempt.task for attempt in attempts])

    async def request(self, user_id: UUID) -> list[str]:
        """Lock the account for good and erase it; returns the steps that are still to do.

        It waits a few seconds for what can be done at once. Again: the same, and the steps that
        are left by then; none once it is finished. A caller that is cancelled stops nothing.

        Raises:
            ServiceUnavailable: the store cannot be reached; nothing has been begun.
        """
        # A task of its own: what is recorded must also be known here, whoever still waits for it.
        beginning = asyncio.create_task(self._begin(user_id))
        self._beginning.add(beginning)
        beginning.add_done_callback(self._beginning.discard)
        deletion, attempt = await asyncio.shield(beginning)
        if deletion is None:
            return []
        if attempt is None:
            return self._pending(deletion.done)
        await asyncio.wait([attempt.task], timeout=self._pace.at_once)
        return self._pending(attempt.done)

    async def run_once(self) -> None:
        """Take what is due and work on it until it is finished or has failed."""
        async with self._one_at_a_time:
            await self._take_due()
        if self._running:
            await asyncio.wait([attempt.task for attempt in self._running.values()])

    async def _begin(self, user_id: UUID) -> tuple[Deletion | None, _Attempt | None]:
        # One after the other: a repeat must see the attempt that the first request has begun.
        async with self._one_at_a_time:
            deletion = await self._store.begin(user_id)
            self._locks.lock(user_id)
            if deletion is None:
                return None, None
            attempt = self._running.get(deletion.id)
            if attempt is None:
                await self._take_due()
                attempt = self._running.get(deletion.id)
            return deletion, attempt

    def _pending(self, done: Set[str]) -> list[str]:
        return [step.name for step in self._steps if step.name not in done]

    async def _keep_going(self) -> None:
        while True:
            if self._leadership.leads:
                async with self._one_at_a_time:
                    await self._take_due()
            await self._sleep(self._pace.interval)

    async def _take_due(self) -> None:
        """Begin an attempt at each deletion that is due. Whatever fails here is for next time."""
        room = _MOST_AT_ONCE - len(self._running)
        if room <= 0:
            return
        now = self._clock()
        until = now + timedelta(seconds=self._pace.lease)
        try:
            for deletion in await self._store.claim_due(self._owner, now, until, room):
                self._attempt(deletion)
        except ServiceUnavailable as error:
            self.failures["store"] += 1
            logger("deletion").warning(
                "deletions_unknown", error=type(error).__name__, count=self.failures["store"]
            )
        except Exception as error:
            # A defect must neither end the erasing of all others for good, nor be hidden.
            self.failures["store"] += 1
            log_failure("deletion", error)

    def _attempt(self, deletion: Deletion) -> None:
        if deletion.id in self._running:
            return
        done = set(deletion.done)
        task = asyncio.create_task(self._run(deletion, done), name=f"deletion {deletion.id}")
        self._running[deletion.id] = _Attempt(done, task)
        task.add_done_callback(lambda _: self._running.pop(deletion.id))

    async def _run(self, deletion: Deletion, done: set[str]) -> None:
        # Another process may have begun it.
        self._locks.lock(deletion.user_id)
        doing = "store"
        try:
            async with asyncio.timeout(self._pace.lease * _SHARE_OF_LEASE):
                for step in self._steps:
                    if step.name not in done:
                        doing = step.name
                        await step.run(deletion.user_id)
                        doing = "store"
                        await self._store.mark_done(deletion.id, step.name)
                        done.add(step.name)
                await self._store.finish(deletion.id)
        except asyncio.CancelledError:
            await self._put_off(deletion, self._clock())
            raise
        except Exception as error:
            self._note_failure(deletion, doing, error)
            await self._put_off(deletion, self._clock() + self._pace.wait_after(deletion.attempts))
        else:
            logger("deletion").info("account_erased", user=self._name(deletion))

    async def _put_off(self, deletion: Deletion, moment: datetime) -> None:
        try:
            await self._store.retry_at(deletion.id, moment)
        except ServiceUnavailable as error:
            # The lease ends by itself, and the deletion is due again then.
            self._note_failure(deletion, "store", error)

    def _note_failure(self, deletion: Deletion, doing: str, error: Exception) -> None:
        self.failures[doing] += 1
        logger("deletion").warning(
            "deletion_failed",
            step=doing,
            error=type(error).__name__,
            attempts=deletion.attempts + 1,
            user=self._name(deletion),
        )
        if not isinstance(error, (ChukError, OpenHoldsError, TimeoutError)):
            log_failure("deletion", error, step=doing)

    def _name(self, deletion: Deletion) -> str:
        return log_name(self._log_salt, deletion.user_id)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A deletion being worked on here. `done` grows as it goes."""

    done: set[str]
    task: asyncio.Task[None]
