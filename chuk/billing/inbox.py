"""Events of Stripe: kept first, then applied, and marked only when they are done.

What fails stays pending: Stripe sends it again, and the reconciler tries it too. Applying one
twice, late or at once with others does no harm, for all it does is to look at the customer.
"""

from __future__ import annotations

from datetime import timedelta

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
        failed = 0
        for event in due:
            try:
                await self._apply(event)
            except ChukError:
                failed += 1
        return len(due) - failed, failed

    async def _apply(self, event: InboxEvent) -> None:
        try:
            if concerns_us(event.type):
                customer_id = event.customer_id or await self._provider.customer_of(event)
                if customer_id is not None:
                    await self._subscriptions.refresh(customer_id)
        except Exception as error:
            if not isinstance(error, ChukError):
                log_failure("billing", error, event_type=event.type)
            await self._store.mark_failed(event.id, type(error).__name__)
            if isinstance(error, ChukError) and error.status >= 500:
                raise
            # A refusal is ours to mend, and no reason for Stripe to give the event up.
            raise ServiceUnavailable from error
        await self._store.mark_applied(event.id)
