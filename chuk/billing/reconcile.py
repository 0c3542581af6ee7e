"""Finds and mends what no event has told us, and retries events that failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from chuk.billing.inbox import Inbox
from chuk.billing.ports import BillingStore, PaymentProvider
from chuk.billing.subscriptions import Subscriptions
from chuk.errors import ChukError
from chuk.leadership import ALONE, Leadership
from chuk.logs import log_failure, logger

_PAGE = 500
_RETRY_INTERVAL = 30.0


@dataclass(slots=True)
class Report:
    """What a comparison found.

    Attributes:
        customers: how many were compared.
        differences: by customer, what was different (and is mended now, unless it was only
            looked at).
        failures: by customer, the kind of error that kept us from comparing.
    """

    customers: int = 0
    differences: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class Reconciliation:
    """Compares every customer at Stripe, and every one of ours, with each other."""

    def __init__(
        self, store: BillingStore, provider: PaymentProvider, subscriptions: Subscriptions
    ) -> None:
        self._store = store
        self._provider = provider
        self._subscriptions = subscriptions

    async def run(self, *, dry_run: bool = False) -> Report:
        """Compare, and mend unless `dry_run`.

        Raises:
            ChukError: the lists themselves cannot be had.
        """
        report = Report()
        async for customer_id in self._customers():
            report.customers += 1
            try:
                changes = await self._compare(customer_id, dry_run=dry_run)
            except ChukError as error:
                report.failures[customer_id] = type(error).__name__
            else:
                if changes:
                    report.differences[customer_id] = changes
        return report

    async def _compare(self, customer_id: str, *, dry_run: bool) -> tuple[str, ...]:
        if dry_run:
            return tuple(await self._subscriptions.differences(customer_id))
        return (await self._subscriptions.refresh(customer_id)).changes

    async def _customers(self) -> AsyncIterator[str]:
        """Stripe's customers, then those of ours that Stripe did not list."""
        seen: set[str] = set()
        page = await self._provider.customers(None)
        while page:
            # First the next page: Stripe knows no page after a customer that is deleted meanwhile.
            following = await self._provider.customers(page[-1])
            for customer_id in page:
                if customer_id not in seen:
                    seen.add(customer_id)
                    yield customer_id
            page = following
        after = None
        while ours := await self._store.customers(after, _PAGE):
            for customer_id, _ in ours:
                if customer_id not in seen:
                    yield customer_id
            after = ours[-1][0]


class BillingReconciler:
    """Does it in the background: pending events at the start, everything soon after.

    Args:
        interval: seconds between comparisons of everything.
        retry_interval: seconds between looks for pending events.
        leadership: who does it; the others leave it to that one.
        sleep: how the background task waits.
    """

    def __init__(
        self,
        inbox: Inbox,
        reconciliation: Reconciliation,
        *,
        interval: float,
        retry_interval: float = _RETRY_INTERVAL,
        leadership: Leadership = ALONE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._inbox = inbox
        self._reconciliation = reconciliation
        self._interval = interval
        self._retry_interval = min(retry_interval, interval)
        self._leadership = leadership
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin. Does not wait for anything."""
        self._task = asyncio.create_task(self._keep_up(), name="billing")

    async def close(self) -> None:
        """Stop; what is half done is done again next time."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _keep_up(self) -> None:
        is_first = True
        waited = self._interval - self._retry_interval
        while True:
            try:
                if self._leadership.leads:
                    # What was pending when this process began is nobody's work any more.
                    await self._inbox.retry_pending(at_once=is_first)
                    is_first = False
                    if waited >= self._interval:
                        waited = 0.0
                        await self._compare()
                else:
                    self._inbox.leave_to_others()
            except ChukError as error:
                logger("billing").warning("reconcile_failed", error=type(error).__name__)
            except Exception as error:
                # A defect must not end the looking for good, nor be hidden.
                log_failure("billing", error)
            # Who leads later takes over from one that may have begun since.
            is_first = is_first and self._leadership.leads
            await self._sleep(self._retry_interval)
            waited += self._retry_interval

    async def _compare(self) -> None:
        report = await self._reconciliation.run()
        if report.differences or report.failures:
            logger("billing").warning(
                "reconciled",
                customers=report.customers,
                mended=len(report.differences),
                failed=len(report.failures),
            )
