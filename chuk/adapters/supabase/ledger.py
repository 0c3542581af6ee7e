"""The books of the credits, kept by functions of a Supabase project's Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from chuk.adapters.supabase import answers, ledger_answers
from chuk.adapters.supabase.client import SupabaseProject
from chuk.clock import Clock
from chuk.credits.ledger import (
    Difference,
    Hold,
    HoldRequest,
    OpenHold,
    Progress,
    Purse,
    Receipt,
    Resolved,
    SpendingCap,
    UsageRecord,
    UsageSum,
)
from chuk.credits.money import MicroEuro


class SupabaseLedger:
    """See `chuk.credits.ports.LedgerStore`.

    Args:
        free_messages: what a purse starts with.
    """

    def __init__(self, project: SupabaseProject, *, free_messages: int, clock: Clock) -> None:
        self._project = project
        self._free_messages = free_messages
        self._clock = clock

    async def open_hold(self, request: HoldRequest) -> Hold:
        """See the port."""
        # A database that knows no keys yet still opens every other hold.
        key = {} if request.api_key_id is None else {"api_key_id": request.api_key_id}
        return await self._project.call(
            "open_hold_by_key" if key else "open_hold",
            ledger_answers.hold,
            hold_id=request.id,
            operation=request.operation.value,
            model_id=request.model_id,
            provider_slug=request.provider_slug,
            at_most=request.at_most,
            at_least=request.at_least,
            allows_free_message=request.allows_free_message,
            owner=request.owner,
            lease_until=request.lease_until,
            **key,
            **self._whose(request.user_id),
        )

    async def note_progress(self, hold_id: str, progress: Progress) -> None:
        """See the port."""
        await self._project.call(
            "note_progress",
            answers.nothing,
            hold_id=hold_id,
            generation_id=progress.generation_id,
            prompt_tokens=progress.prompt_tokens,
            completion_tokens=progress.completion_tokens,
            cost=progress.cost,
            cost_usd=progress.cost_usd,
        )

    async def settle(self, hold_id: str, cost: MicroEuro, usage: UsageRecord) -> Resolved:
        """See the port."""
        _refuse_negative(cost)
        return await self._project.call(
            "settle",
            ledger_answers.resolved,
            hold_id=hold_id,
            cost=cost,
            usage=ledger_answers.usage_fields(usage),
            now=self._clock(),
        )

    async def release(self, hold_id: str, usage: UsageRecord) -> Resolved:
        """See the port."""
        return await self._project.call(
            "release",
            ledger_answers.resolved,
            hold_id=hold_id,
            usage=ledger_answers.usage_fields(usage),
            now=self._clock(),
        )

    async def is_held(self, hold_id: str) -> bool:
        """See the port."""
        return await self._project.call("is_held", answers.truth, hold_id=hold_id)

    async def renew_leases(self, owner: str, until: datetime) -> int:
        """See the port."""
        return await self._project.call("renew_leases", answers.number, owner=owner, until=until)

    async def claim_orphans(
        self, owner: str, now: datetime, lease_until: datetime, limit: int
    ) -> Sequence[OpenHold]:
        """See the port."""
        return await self._project.call(
            "claim_orphans",
            answers.rows(ledger_answers.open_hold),
            owner=owner,
            now=now,
            lease_until=lease_until,
            limit=limit,
        )

    async def defer(self, hold_id: str, until: datetime) -> None:
        """See the port."""
        await self._project.call("defer", answers.nothing, hold_id=hold_id, until=until)

    async def grant(
        self, user_id: UUID, amount: MicroEuro, reference: str, period: datetime | None = None
    ) -> bool:
        """See the port."""
        _refuse_negative(amount)
        return await self._project.call(
            "grant",
            answers.truth,
            amount=amount,
            reference=reference,
            period=period,
            **self._whose(user_id),
        )

    async def take_back(
        self, user_id: UUID, grant_reference: str, amount: MicroEuro, reference: str
    ) -> MicroEuro:
        """See the port."""
        _refuse_negative(amount)
        return await self._project.call(
            "take_back",
            answers.micro_euro,
            user_id=user_id,
            grant_reference=grant_reference,
            amount=amount,
            reference=reference,
            now=self._clock(),
        )

    async def give_back(self, user_id: UUID, reference: str) -> MicroEuro:
        """See the port."""
        return await self._project.call(
            "give_back",
            answers.micro_euro,
            user_id=user_id,
            reference=reference,
            now=self._clock(),
        )

    async def lapse(self, user_id: UUID, reference: str) -> MicroEuro:
        """See the port."""
        return await self._project.call(
            "lapse", answers.micro_euro, reference=reference, **self._whose(user_id)
        )

    async def purse(self, user_id: UUID) -> Purse:
        """See the port."""
        return await self._project.call("purse", ledger_answers.purse, **self._whose(user_id))

    async def spending_cap(self, user_id: UUID) -> SpendingCap:
        """See the port."""
        return await self._project.call(
            "purse", ledger_answers.spending_cap, **self._whose(user_id)
        )

    async def key_budget_left(self, api_key_id: UUID) -> MicroEuro | None:
        """See the port."""
        return await self._project.call(
            "key_budget_left",
            answers.optional(answers.micro_euro),
            id=api_key_id,
            now=self._clock(),
        )

    async def set_spending_cap(self, user_id: UUID, cap: SpendingCap) -> None:
        """See the port."""
        await self._project.call(
            "set_spending_cap",
            answers.nothing,
            daily=cap.daily,
            monthly=cap.monthly,
            **self._whose(user_id),
        )

    async def receipts(
        self, user_id: UUID, *, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Receipt]:
        """See the port."""
        moment, hold_id = before or (None, None)
        return await self._project.call(
            "receipts",
            answers.rows(ledger_answers.receipt),
            user_id=user_id,
            before=moment,
            before_id=hold_id,
            limit=limit,
        )

    async def usage_sums(
        self, user_id: UUID, by: Literal["day", "model"], since: datetime, until: datetime
    ) -> Sequence[UsageSum]:
        """See the port."""
        return await self._project.call(
            "usage_sums",
            answers.rows(ledger_answers.usage_sum),
            user_id=user_id,
            by=by,
            since=since,
            until=until,
        )

    async def verify(self) -> Sequence[Difference]:
        """See the port."""
        return await self._project.call("verify", answers.rows(ledger_answers.difference))

    async def unknown_costs(self, limit: int) -> Sequence[Receipt]:
        """See the port."""
        return await self._project.call(
            "unknown_costs", answers.rows(ledger_answers.receipt), limit=limit
        )

    def _whose(self, user_id: UUID) -> dict[str, object]:
        """What every function needs that may have to make a purse."""
        return {"user_id": user_id, "free_messages": self._free_messages, "now": self._clock()}


def _refuse_negative(amount: MicroEuro) -> None:
    if amount < 0:
        raise ValueError("an amount of money below 0")
