"""Writes down how holds end; what cannot be written at once is kept and tried again.

This process knows best how its work ended. Only when it dies is a hold left to the reconciler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from chuk.clock import Clock
from chuk.credits.intents import Intent, with_real_cost
from chuk.credits.money import MicroEuro
from chuk.credits.ports import GenerationCost, GenerationCosts, LedgerStore
from chuk.credits.pricing import PriceList
from chuk.errors import ChukError
from chuk.logs import log_failure, logger

_FIRST_RETRY = 1.0
_LONGEST_RETRY = 30.0
_LOOKS_FOR_MISSING = 5  # half a minute: longer than any store takes to write what it did not answer
_LAST_TRY = 5.0  # seconds for all that is left when the process ends
_ASK_AT = (0.0, 0.3, 0.6)  # waits between questions while somebody waits for the answer
_ASK_FOR = 1.5

_log = logger("credits")


@dataclass(frozen=True, slots=True)
class CreditFacts:
    """The holds of one process. Ages are seconds, 0 where there is none.

    Attributes:
        open: what work is still going on for, or whose end is not written.
        waiting: ends that are known, but that the books have not taken yet.
    """

    open: int
    oldest_open: float
    waiting: int
    oldest_waiting: float


class Endings:
    """Every hold that this process has yet to end.

    Args:
        costs: upstream's own books, where it has some.
        ask_attempts: questions to upstream about one cost, before our own count is taken.
        sleep: how background tasks wait.

    Attributes:
        open_holds: ids of the holds that this process works for, or means to end, and since when;
            the oldest first.
        unsettled: how many ends could not be written at once since the start.
    """

    def __init__(
        self,
        store: LedgerStore,
        prices: PriceList,
        *,
        costs: GenerationCosts | None,
        ask_attempts: int,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.open_holds: dict[str, datetime] = {}
        self.unsettled = 0
        self.costs = costs
        self._store = store
        self._prices = prices
        self._ask_attempts = ask_attempts
        self._clock = clock
        self._sleep = sleep
        # With the time since which each is known; the oldest first.
        self._waiting: dict[str, Intent] = {}
        self._waiting_since: dict[str, datetime] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Try once more to write what is not written, and leave the rest to the reconciler."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_TRY):
                    await asyncio.gather(*map(self._hand_over, tuple(self._waiting.values())))
        if self._waiting:
            _log.warning("holds_left_to_reconcile", holds=len(self._waiting))

    @property
    def facts(self) -> CreditFacts:
        """What there is to know of the holds of this process."""
        now = self._clock()
        return CreditFacts(
            open=len(self.open_holds),
            oldest_open=(now - next(iter(self.open_holds.values()), now)).total_seconds(),
            waiting=len(self._waiting),
            oldest_waiting=(now - next(iter(self._waiting_since.values()), now)).total_seconds(),
        )

    async def write(self, intent: Intent) -> MicroEuro | None:
        """Write an end; returns what was charged, None where that must wait."""
        try:
            return await self._write(intent)
        except asyncio.CancelledError:
            self.write_later(intent)
            raise
        except Exception as error:
            # The answer is there, whatever the books are at: it must not fail because of them.
            self.unsettled += 1
            _log.error(
                "hold_not_ended",
                hold=intent.hold_id,
                error=type(error).__name__,
                unsettled=self.unsettled,
            )
            self.write_later(intent)
            return None

    def write_later(self, intent: Intent) -> None:
        """Keep an end, and try until it is written."""
        self._waiting[intent.hold_id] = intent
        self._waiting_since.setdefault(intent.hold_id, self._clock())
        self.in_background(self._keep_trying(intent), f"end of {intent.hold_id}")

    def in_background(self, work: Coroutine[object, object, None], name: str) -> None:
        """Run something that nobody waits for."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def cost_soon(self, generation_id: str) -> GenerationCost | None:
        """Upstream's cost, if it says so within a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ASK_FOR):
                for wait in _ASK_AT:
                    if wait:
                        await self._sleep(wait)
                    cost = await self._ask(generation_id)
                    if cost is not None:
                        return cost
        return None

    async def _write(self, intent: Intent) -> MicroEuro:
        if intent.cost is None:
            resolved = await self._store.release(intent.hold_id, intent.usage)
        else:
            resolved = await self._store.settle(intent.hold_id, intent.cost, intent.usage)
        self._forget(intent)
        return resolved.charged

    def _forget(self, intent: Intent) -> None:
        self.open_holds.pop(intent.hold_id, None)
        self._waiting.pop(intent.hold_id, None)
        self._waiting_since.pop(intent.hold_id, None)

    async def _keep_trying(self, intent: Intent) -> None:
        wait = _FIRST_RETRY
        while intent.hold_id in self._waiting:
            await self._sleep(wait)
            wait = min(wait * 2, _LONGEST_RETRY)
            await self._try(intent)

    async def _try(self, intent: Intent) -> None:
        """One more attempt; the intent goes on waiting unless this succeeds."""
        intent.attempts += 1
        try:
            if not intent.asks_upstream or await self._is_answered(intent):
                await self._write(intent)
        except LookupError as error:
            if not intent.may_be_missing:
                log_failure("credits", error, hold=intent.hold_id)
                self._forget(intent)
            elif intent.attempts >= _LOOKS_FOR_MISSING:
                self._forget(intent)
        except ChukError as error:
            _log.warning("hold_still_not_ended", hold=intent.hold_id, error=error.code)
        except Exception as error:
            log_failure("credits", error, hold=intent.hold_id)

    async def _is_answered(self, intent: Intent) -> bool:
        """Ask upstream for the cost; whether the intent is now ready to be written."""
        generation_id = intent.usage.generation_id
        cost = await self._ask(generation_id) if generation_id else None
        if cost is not None:
            intent.cost = self._prices.in_euros(cost.cost_usd)
            intent.usage = with_real_cost(intent.usage, cost)
        elif intent.attempts < self._ask_attempts:
            return False
        intent.asks_upstream = False
        return True

    async def _ask(self, generation_id: str) -> GenerationCost | None:
        if self.costs is None:
            return None
        try:
            return await self.costs.cost_of(generation_id)
        except ChukError as error:
            _log.info("cost_not_known_yet", generation=generation_id, error=error.code)
        except Exception as error:
            log_failure("credits", error, generation=generation_id)
        return None

    async def _hand_over(self, intent: Intent) -> None:
        """The last act: write the end, or let the reconciler ask at once."""
        if not intent.asks_upstream:
            await self._try(intent)
            return
        try:
            await self._store.defer(intent.hold_id, self._clock())
        except Exception as error:
            log_failure("credits", error, hold=intent.hold_id)
