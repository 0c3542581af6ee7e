"""Events of Stripe: kept first, then applied, and marked only when they are done.

What fails stays pending: Stripe sends it again, and the reconciler tries it too. Applying one
twice, late or at once with others does no harm, for all it does is to look at the customer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from chuk.billing.events import concerns_us
from chuk.billing.ports import BillingStore, InboxEvent, IncomingEvent, PaymentProvider
from chuk.billing.subscriptions import Subscriptions
from chuk.clock import Clock, utc_now
from chuk.errors import ChukError, NotFound, ServiceUnavailable
from chuk.logs import log_failure, logger

_MOST_AT_ONCE = 200


class Inbox:
    """Receives events and applies them.

    Args:
        patience: how long an event is left to whoever received it, before others try it.

    Attributes:
        received: events that came to this process, repeats included.
        failed: how often one could not be applied.
        last_received: when the latest came to this process.
        pending, oldest_pending: what was left by the latest look of this process at what is not
            applied: how many events, and when Stripe made the oldest of them.
    """

    def __init__(
        self,
        store: BillingStore,
        provider: PaymentProvider,
        subscriptions: Subscriptions,
        *,
        patience: timedelta = timedelta(seconds=30),
        clock: Clock = utc_now,
    ) -> None:
        self.received = self.failed = self.pending = 0
        self.last_received: datetime | None = None
        self.oldest_pending: datetime | None = None
        self._store = store
        self._provider = provider
        self._subscriptions = subscriptions
        self._patience = patience
        self._clock = clock

    async def receive(self, incoming: IncomingEvent) -> None:
        """Keep an event and apply it; one that was applied before does nothing.

        Raises:
            ChukError: of a status from 500 on; it is to be sent again.
        """
        event = incoming.event
        self.received += 1
        self.last_received = self._clock()
        if not await self._store.record_event(event):
            return
        if incoming.is_ours:
            await self._apply(event)
        else:
            logger("billing").info("event_of_another_account", type=event.type)
            await self._store.mark_applied(event.id)

    async def replay(self, event_id: str) -> None:
        """Apply an event again, whether it was applied or not.

        One that we do not know, or of which we forgot what it was about, comes from Stripe.

        Raises:
            NotFound: neither we nor Stripe know it.
            ChukError: it could not be applied.
        """
        event = await self._store.event(event_id)
        if event is None or event.object_id is None:
            found = await self._provider.event(event_id)
            if found is None or not found.is_ours:
                raise NotFound("There is no such event.")
            event = found.event
            await self._store.record_event(event)
        await self._apply(event)

    async def retry_pending(self, *, at_once: bool = False) -> tuple[int, int]:
        """Apply what is still pending; returns how many were, and how many still are.

        Args:
            at_once: without leaving the newest to whoever received them.
        """
        patience = timedelta(0) if at_once else self._patience
        due = await self._store.pending_events(self._clock() - patience, _MOST_AT_ONCE)
        left: list[InboxEvent] = []
        for event in due:
            try:
                await self._apply(event)
            except ChukError:
                left.append(event)
        self.pending = len(left)
        self.oldest_pending = min((event.created_at for event in left), default=None)
        return len(due) - len(left), len(left)

    def leave_to_others(self) -> None:
        """Another process looks from now on at what is pending: what this one saw is stale."""
        self.pending, self.oldest_pending = 0, None

    async def _apply(self, event: InboxEvent) -> None:
        try:
            if concerns_us(event.type):
                customer_id = event.customer_id or await self._provider.customer_of(event)
                if customer_id is not None:
                    await self._subscriptions.refresh(customer_id)
        except Exception as error:
            self.failed += 1
            if not isinstance(error, ChukError):
                log_failure("billing", error, event_type=event.type)
            await self._store.mark_failed(event.id, type(error).__name__)
            if isinstance(error, ChukError) and error.status >= 500:
                raise
            # A refusal is ours to mend, and no reason for Stripe to give the event up.
            raise ServiceUnavailable from error
        await self._store.mark_applied(event.id)
