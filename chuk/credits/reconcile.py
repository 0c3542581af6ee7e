"""Ends the holds of processes that died: by upstream's own books, else by what was noted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from chuk.clock import Clock, utc_now
from chuk.credits.intents import with_real_cost
from chuk.credits.ledger import Basis, OpenHold, Operation, Outcome, UsageRecord
from chuk.credits.ports import GenerationCost, GenerationCosts, LedgerStore
from chuk.credits.pricing import PriceList
from chuk.errors import ChukError
from chuk.leadership import ALONE, Leadership
from chuk.logs import log_failure, logger

_CLAIMED_AT_ONCE = 50
_ASKED_AT_ONCE = 8
_LONGEST_WAIT = 600.0

_log = logger("reconcile")


@dataclass(slots=True)
class Reconciled:
    """What one look for orphans did: holds by how they ended, or that they did not."""

    settled: int = 0
    released: int = 0
    deferred: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """Orphans looked at."""
        return self.settled + self.released + self.deferred + self.failed

    def add(self, other: Reconciled) -> None:
        """What another look did, as well."""
        self.settled += other.settled
        self.released += other.released
        self.deferred += other.deferred
        self.failed += other.failed


class Reconciler:
    """Looks for orphaned holds, again and again.

    Args:
        costs: upstream's own books; None where it has none.
        owner: unlike the one under which this process opens holds, so that renewing those leases
            does not renew what is claimed here.
        interval: seconds between looks, and the first wait before upstream is asked again.
        lease: seconds that a claimed hold is left to this process.
        attempts: questions to upstream about one hold, before its delivered part is settled.
        is_running: whether this very process still works for a hold; such a one is no orphan,
            even when its lease could not be renewed.
        leadership: who looks in the background; the others leave it to that one.

    Attributes:
        total: what all looks of this process did together.
        looks, failed_looks: how many looks there were, and how many could not be made.
        left: orphans that this process has seen and that are not ended yet, with the times at
            which their holds were opened.
    """

    def __init__(
        self,
        store: LedgerStore,
        prices: PriceList,
        *,
        costs: GenerationCosts | None,
        owner: str,
        interval: float,
        lease: float,
        attempts: int,
        is_running: Callable[[str], bool] = lambda _: False,
        leadership: Leadership = ALONE,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.total = Reconciled()
        self.looks = self.failed_looks = 0
        self.left: dict[str, datetime] = {}
        self._store = store
        self._prices = prices
        self._costs = costs
        self._owner = owner
        self._interval = interval
        self._lease = timedelta(seconds=lease)
        self._attempts = attempts
        self._is_running = is_running
        self._leadership = leadership
        self._clock = clock
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at once, then in the background."""
        self._task = asyncio.create_task(self._keep_looking(), name="reconciler")

    async def close(self) -> None:
        """Stop; what is claimed falls back to others when its lease ends."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def run_once(self) -> Reconciled:
        """End every orphan there is, as far as upstream says what it cost.

        Raises:
            ServiceUnavailable: the books cannot be reached.
        """
        done = Reconciled()
        while True:
            now = self._clock()
            orphans = await self._store.claim_orphans(
                self._owner, now, now + self._lease, _CLAIMED_AT_ONCE
            )
            turn = asyncio.Semaphore(_ASKED_AT_ONCE)

            async def one(orphan: OpenHold, turn: asyncio.Semaphore = turn) -> None:
                async with turn:
                    await self._finish(orphan, done)

            await asyncio.gather(*map(one, orphans))
            if len(orphans) < _CLAIMED_AT_ONCE:
                break
        self.total.add(done)
        if done.total:
            _log.info(
                "orphans_reconciled",
                settled=done.settled,
                released=done.released,
                deferred=done.deferred,
                failed=done.failed,
            )
        return done

    async def _keep_looking(self) -> None:
        while True:
            try:
                if self._leadership.leads:
                    self.looks += 1
                    await self.run_once()
                else:
                    # Whoever leads now ends them.
                    self.left.clear()
            except ChukError as error:
                self.failed_looks += 1
                _log.warning("reconcile_failed", error=error.code)
            except Exception as error:
                self.failed_looks += 1
                log_failure("reconcile", error)
            await self._sleep(self._interval)

    async def _finish(self, orphan: OpenHold, done: Reconciled) -> None:
        """End one orphan. What fails is claimed again when this claim's lease ends."""
        try:
            if self._is_running(orphan.hold.id):
                await self._store.defer(orphan.hold.id, self._clock() + self._lease)
                done.deferred += 1
                return
            self.left[orphan.hold.id] = orphan.opened_at
            if orphan.hold.is_free_message:
                await self._by_progress(orphan, done)
            else:
                await self._by_cost(orphan, done)
        except ChukError as error:
            done.failed += 1
            _log.warning("orphan_not_ended", hold=orphan.hold.id, error=error.code)
        except Exception as error:
            done.failed += 1
            log_failure("reconcile", error, hold=orphan.hold.id)

    async def _by_cost(self, orphan: OpenHold, done: Reconciled) -> None:
        """By upstream's cost; while it does not say, later."""
        generation_id = orphan.progress.generation_id
        if generation_id is None or self._costs is None:
            await self._by_progress(orphan, done)
            return
        cost = await self._ask(self._costs, generation_id)
        if cost is not None:
            usage = with_real_cost(_usage(orphan, Outcome.INTERRUPTED, Basis.UPSTREAM), cost)
            await self._store.settle(orphan.hold.id, self._prices.in_euros(cost.cost_usd), usage)
            done.settled += 1
            self.left.pop(orphan.hold.id, None)
        elif orphan.attempts < self._attempts:
            wait = min(self._interval * 2 ** min(orphan.attempts - 1, 16), _LONGEST_WAIT)
            await self._store.defer(orphan.hold.id, self._clock() + timedelta(seconds=wait))
            done.deferred += 1
        else:
            await self._by_progress(orphan, done)

    async def _by_progress(self, orphan: OpenHold, done: Reconciled) -> None:
        """By what was noted as delivered; without that, nothing is taken."""
        progress = orphan.progress
        if progress.completion_tokens or progress.cost:
            usage = _usage(orphan, Outcome.INTERRUPTED, Basis.ESTIMATE)
            await self._store.settle(orphan.hold.id, progress.cost, usage)
            done.settled += 1
            self.left.pop(orphan.hold.id, None)
            return
        # A free message costs us something, but never its user: that is no open question.
        is_unknown = progress.generation_id is not None and not orphan.hold.is_free_message
        basis = Basis.UNKNOWN if is_unknown else Basis.NOTHING
        await self._store.release(orphan.hold.id, _usage(orphan, Outcome.FAILED, basis))
        done.released += 1
        self.left.pop(orphan.hold.id, None)

    async def _ask(self, costs: GenerationCosts, generation_id: str) -> GenerationCost | None:
        try:
            return await costs.cost_of(generation_id)
        except ChukError as error:
            _log.info("cost_not_known_yet", generation=generation_id, error=error.code)
            return None


def _usage(orphan: OpenHold, outcome: Outcome, basis: Basis) -> UsageRecord:
    progress = orphan.progress
    is_taken = basis is Basis.ESTIMATE
    is_chat = orphan.operation is Operation.CHAT
    return UsageRecord(
        model_id=orphan.model_id,
        provider_slug=orphan.provider_slug,
        # Of media only the sum is told: it counts characters, seconds, pictures.
        prompt_tokens=progress.prompt_tokens if is_chat else 0,
        completion_tokens=progress.completion_tokens if is_chat else 0,
        total_tokens=progress.prompt_tokens + progress.completion_tokens,
        cost_usd=progress.cost_usd if is_taken else Decimal(0),
        outcome=outcome,
        basis=basis,
        # Chat knows no other providers; of other work it is not known here, so not claimed.
        is_zdr=is_chat,
        generation_id=progress.generation_id,
    )
