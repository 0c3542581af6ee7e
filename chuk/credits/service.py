"""The one way to pay for work: hold, then settle or release."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from chuk.clock import Clock, utc_now
from chuk.credits.endings import CreditFacts, Endings
from chuk.credits.intents import Intent
from chuk.credits.ledger import (
    Basis,
    Hold,
    HoldRequest,
    Operation,
    Outcome,
    Progress,
    SpendingCap,
    UsageRecord,
)
from chuk.credits.money import MicroEuro
from chuk.credits.ports import GenerationCost, GenerationCosts, LedgerStore
from chuk.credits.pricing import PriceList
from chuk.credits.running import RunningWork
from chuk.errors import ChukError
from chuk.logs import log_failure, logger

_log = logger("credits")


@dataclass(frozen=True, slots=True)
class Order:
    """Work that is to be paid for.

    Attributes:
        id: unique for ever; for a turn its stream id.
        at_most: the upper estimate of its cost; 0: it is free of charge.
        at_least: what must be affordable, or the work is not begun.
        allows_free_message: whether a free message may stand in where credits do not do.
        is_zdr: whether the provider keeps no data.
        api_key_id: the personal API key that asked; None: the signed-in user.
    """

    id: str
    user_id: UUID
    operation: Operation
    model_id: str
    provider_slug: str
    at_most: MicroEuro
    at_least: MicroEuro
    allows_free_message: bool = False
    is_zdr: bool = False
    api_key_id: UUID | None = None

    def no_usage(self, outcome: Outcome) -> UsageRecord:
        """The row of work that took nothing."""
        return UsageRecord(
            model_id=self.model_id,
            provider_slug=self.provider_slug,
            prompt_tokens=0,
            completion_tokens=0,
            total_tokens=0,
            cost_usd=Decimal(0),
            outcome=outcome,
            basis=Basis.NOTHING,
            is_zdr=self.is_zdr,
        )


class Payment:
    """One open hold. It is ended exactly once.

    Attributes:
        hold: what was set aside.
        is_resolved: whether its end has been decided.
    """

    __slots__ = ("_endings", "_is_noting", "_latest", "_store", "hold", "is_resolved")

    def __init__(self, hold: Hold, store: LedgerStore, endings: Endings) -> None:
        self.hold = hold
        self.is_resolved = False
        self._store = store
        self._endings = endings
        self._latest: Progress | None = None
        self._is_noting = False

    async def settle(self, cost: MicroEuro, usage: UsageRecord) -> MicroEuro:
        """Take the real cost and give the rest back; uses a free message up.

        Returns what is charged; when the books cannot be reached now, what will be.
        """
        self._decide()
        charged = await self._endings.write(Intent(self.hold.id, cost, usage))
        if charged is None:
            return MicroEuro(0) if self.hold.is_free_message else cost
        return charged

    async def release(self, usage: UsageRecord) -> None:
        """Give all of it back, a free message too."""
        self._decide()
        await self._endings.write(Intent(self.hold.id, None, usage))

    def settle_when_known(self, cost: MicroEuro | None, usage: UsageRecord) -> None:
        """Go on asking upstream what it charged, and settle that.

        Args:
            cost: what is taken when upstream never says; None: nothing.
            usage: written then; it has the generation id to ask for.
        """
        self._decide()
        self._endings.write_later(Intent(self.hold.id, cost, usage, asks_upstream=True))

    def note(self, progress: Progress) -> None:
        """Keep what is known of the work, in the background; a crash then loses nothing of it."""
        self._latest = progress
        if not self._is_noting and not self.is_resolved:
            self._is_noting = True
            # Not at once: an answer that came in one read has ended by then, and needs no note.
            asyncio.get_running_loop().call_soon(self._begin_to_note)

    def _begin_to_note(self) -> None:
        if self.is_resolved:
            self._is_noting = False
        else:
            self._endings.in_background(self._write_notes(), f"progress of {self.hold.id}")

    async def _write_notes(self) -> None:
        try:
            while self._latest is not None and not self.is_resolved:
                progress, self._latest = self._latest, None
                await self._store.note_progress(self.hold.id, progress)
        except ChukError as error:
            # Only a crash would miss it, and the next note says it again.
            _log.warning("progress_not_noted", hold=self.hold.id, error=error.code)
        except Exception as error:
            log_failure("credits", error, hold=self.hold.id)
        finally:
            self._is_noting = False

    def _decide(self) -> None:
        if self.is_resolved:
            raise RuntimeError("a hold is ended once")
        self.is_resolved = True


class Credits:
    """Holds, and what a user has.

    Args:
        owner: this process, unlike any other.
        hold_lease: seconds after which a hold that is not renewed counts as an orphan.
        costs: upstream's own books, where it has some.
        ask_attempts: questions to upstream about one cost, before our own count is taken.
        sleep: how background tasks wait.
    """

    def __init__(
        self,
        store: LedgerStore,
        prices: PriceList,
        *,
        owner: str,
        hold_lease: float,
        costs: GenerationCosts | None = None,
        ask_attempts: int = 10,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.prices = prices
        self._store = store
        self._owner = owner
        self._lease = timedelta(seconds=hold_lease)
        self._clock = clock
        self._sleep = sleep
        self._endings = Endings(
            store, prices, costs=costs, ask_attempts=ask_attempts, clock=clock, sleep=sleep
        )
        self._running = RunningWork()
        self._renewal: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Renew the leases of open holds in the background."""
        self._renewal = asyncio.create_task(self._keep_leases(), name="hold leases")

    async def close(self) -> None:
        """Stop renewing; write what can still be written. Call it when no work runs any more."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
            self._renewal = None
        await self._endings.close()

    @property
    def unsettled(self) -> int:
        """How many ends could not be written at once since the start."""
        return self._endings.unsettled

    @property
    def facts(self) -> CreditFacts:
        """What there is to know of the holds of this process."""
        return self._endings.facts

    def is_open(self, hold_id: str) -> bool:
        """Whether this process still works for the hold, or means to end it."""
        return hold_id in self._endings.open_holds

    @asynccontextmanager
    async def hold(self, order: Order) -> AsyncIterator[Payment]:
        """Hold for a piece of work; what is not ended inside is given back.

        Raises:
            Forbidden: it was stopped from outside, see `stopped`.
            ChukError: as `open`.
        """
        with self._running.of(order.user_id) as work:
            payment = await self.open(order)
            outcome = Outcome.FAILED
            try:
                async with work.under_way():
                    yield payment
            except asyncio.CancelledError:
                outcome = Outcome.CANCELLED
                raise
            finally:
                if work.is_stopped:
                    outcome = Outcome.CANCELLED
                if not payment.is_resolved:
                    await payment.release(order.no_usage(outcome))

    async def stopped(self, user_id: UUID) -> None:
        """Stop this user's work that `hold` pays for, and wait until its books are closed."""
        await self._running.stopped(user_id)

    async def open(self, order: Order) -> Payment:
        """Set credits aside, or a free message; whoever opens must end.

        Raises:
            InsufficientCredits: neither credits nor a free message.
            QuotaExceeded: the user's own spending cap leaves too little.
            Forbidden: the account is locked.
            ServiceUnavailable: the books cannot be reached.
        """
        request = HoldRequest(
            id=order.id,
            user_id=order.user_id,
            operation=order.operation,
            model_id=order.model_id,
            provider_slug=order.provider_slug,
            at_most=order.at_most,
            at_least=order.at_least,
            allows_free_message=order.allows_free_message,
            owner=self._owner,
            lease_until=self._clock() + self._lease,
            api_key_id=order.api_key_id,
        )
        open_holds = self._endings.open_holds
        # Before the store has it, so that it is never taken for an orphan.
        open_holds[order.id] = self._clock()
        try:
            hold = await self._store.open_hold(request)
        except BaseException as error:
            if isinstance(error, ChukError) and error.status < 500:
                open_holds.pop(order.id, None)
            else:
                # It may be there although nobody was told so.
                usage = order.no_usage(Outcome.FAILED)
                self._endings.write_later(Intent(order.id, None, usage, may_be_missing=True))
            raise
        return Payment(hold, self._store, self._endings)

    @property
    def can_ask(self) -> bool:
        """Whether upstream can be asked later what a request cost."""
        return self._endings.costs is not None

    async def cost_soon(self, generation_id: str) -> GenerationCost | None:
        """Upstream's cost of a request, if it says so within a moment: a second and a half."""
        return await self._endings.cost_soon(generation_id)

    async def spending_cap(self, user_id: UUID) -> SpendingCap:
        """The user's own limits."""
        return await self._store.spending_cap(user_id)

    async def set_spending_cap(self, user_id: UUID, cap: SpendingCap) -> None:
        """Replace both limits."""
        await self._store.set_spending_cap(user_id, cap)

    async def _keep_leases(self) -> None:
        while True:
            await self._sleep(self._lease.total_seconds() / 3)
            holds = len(self._endings.open_holds)
            if not holds:
                continue
            try:
                await self._store.renew_leases(self._owner, self._clock() + self._lease)
            except ChukError as error:
                _log.warning("leases_not_renewed", holds=holds, error=error.code)
            except Exception as error:
                log_failure("credits", error, holds=holds)
