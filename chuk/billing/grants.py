"""From what was paid, given back and ended at Stripe to entries of the ledger.

Every entry has a reference made of Stripe's own ids, so whoever comes first (webhook, sync or
reconciler) makes it, and a repeat changes nothing. What is read here only ever goes one way: an
invoice stays paid, a refund stays made or failed, an ended subscription stays ended. An older
reading is therefore merely a part of a newer one, and which is applied last does not matter.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from uuid import UUID

from chuk.billing.ports import CustomerState, PaidInvoice
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore

ENDED = frozenset({"canceled", "incomplete_expired"})
"""A subscription that will never go on."""

_RIGHT_AFTER = timedelta(microseconds=1)


class Grants:
    """Gives credits for paid periods, and takes back what is no longer paid for.

    Args:
        per_period: what each paid period of the plan is worth.
    """

    def __init__(self, ledger: LedgerStore, per_period: MicroEuro) -> None:
        self._ledger = ledger
        self._per_period = per_period

    async def apply(self, user_id: UUID, state: CustomerState) -> list[str]:
        """Bring the ledger up to a customer's state; returns what was new, for reports."""
        changes: list[str] = []
        for invoice in state.invoices:
            if await self._ledger.grant(
                user_id, self._per_period, grant_reference(invoice.id), period=invoice.period_start
            ):
                changes.append(f"granted {invoice.id}")
            await self._take_back(user_id, invoice)
        for subscription in state.subscriptions:
            if subscription.status in ENDED:
                changes += await self._end(user_id, subscription.id, state)
        return changes

    async def end(self, user_id: UUID, reference: str) -> None:
        """End the present credits, once for each reference."""
        await self._ledger.lapse(user_id, reference)

    async def is_missing(self, user_id: UUID, state: CustomerState) -> bool:
        """Whether the newest paid period has not been granted yet."""
        period = (await self._ledger.purse(user_id)).period
        newest = max((invoice.period_start for invoice in state.invoices), default=None)
        return newest is not None and (period is None or period < newest)

    async def _take_back(self, user_id: UUID, invoice: PaidInvoice) -> None:
        """Take back the same part of the grant as went back of the money.

        Rounded up, so that all of the money in several parts is all of the grant.
        """
        for reversal in invoice.reversals:
            amount = 0 if reversal.is_undone else ceil(self._per_period * reversal.part)
            await self._ledger.take_back(
                user_id, grant_reference(invoice.id), MicroEuro(amount), reversal.reference
            )
            if reversal.is_undone:
                # What was taken while the money was away.
                await self._ledger.give_back(user_id, reversal.reference)

    async def _end(self, user_id: UUID, subscription_id: str, state: CustomerState) -> list[str]:
        """Lapse what is left of an ended subscription, but nothing that a later one paid for.

        The end is entered as a period of its own, worth nothing, that begins right after the
        last paid one did: the ledger lapses what is left when a later period begins, and lets an
        earlier one that comes late change nothing. So neither another subscription's grant nor
        the order of the two can go wrong, whoever else is writing. The reference names the
        invoice, too: one that is paid only after the end lapses as well.
        """
        own = [each for each in state.invoices if each.subscription_id == subscription_id]
        if not own:
            return []
        is_new = await self._ledger.grant(
            user_id,
            MicroEuro(0),
            f"subscription:{subscription_id}:ended:{own[-1].id}",
            period=own[-1].period_start + _RIGHT_AFTER,
        )
        return [f"ended {subscription_id}"] if is_new else []


def grant_reference(invoice_id: str) -> str:
    """Under which an invoice's credits are entered."""
    return f"invoice:{invoice_id}"
