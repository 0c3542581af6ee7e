"""The books of the credits, kept by functions of a Supabase project's Postgres."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from chuk.adapters.supabase import answers
from chuk.adapters.supabase.client import SupabaseProject
from chuk.clock import Clock
from chuk.credits.ledger import (
    Basis,
    Difference,
    Hold,
    HoldRequest,
    OpenHold,
    Operation,
    Outcome,
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
        return await self._project.call(
            "open_hold",
            _hold,
            hold_id=request.id,
            operation=request.operation.value,
            model_id=request.model_id,
            provider_slug=request.provider_slug,
            at_most=request.at_most,
            at_least=request.at_least,
            allows_free_message=request.allows_free_message,
            owner=request.owner,
            lease_until=request.lease_until,
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
            _resolved,
            hold_id=hold_id,
            cost=cost,
            usage=_usage_fields(usage),
            now=self._clock(),
        )

    async def release(self, hold_id: str, usage: UsageRecord) -> Resolved:
        """See the port."""
        return await self._project.call(
            "release", _resolved, hold_id=hold_id, usage=_usage_fields(usage), now=self._clock()
        )

    async def renew_leases(self, owner: str, until: datetime) -> int:
        """See the port."""
        return await self._project.call("renew_leases", answers.number, owner=owner, until=until)

    async def claim_orphans(
        self, owner: str, now: datetime, lease_until: datetime, limit: int
    ) -> Sequence[OpenHold]:
        """See the port."""
        return await self._project.call(
            "claim_orphans",
            answers.rows(_open_hold),
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

    async def lapse(self, user_id: UUID, reference: str) -> MicroEuro:
        """See the port."""
        return await self._project.call(
            "lapse", answers.micro_euro, user_id=user_id, reference=reference, now=self._clock()
        )

    async def purse(self, user_id: UUID) -> Purse:
        """See the port."""
        return await self._project.call("purse", _purse, **self._whose(user_id))

    async def spending_cap(self, user_id: UUID) -> SpendingCap:
        """See the port."""
        return await self._project.call("purse", _spending_cap, **self._whose(user_id))

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
            answers.rows(_receipt),
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
            answers.rows(_usage_sum),
            user_id=user_id,
            by=by,
            since=since,
            until=until,
        )

    async def verify(self) -> Sequence[Difference]:
        """See the port."""
        return await self._project.call("verify", answers.rows(_difference))

    async def unknown_costs(self, limit: int) -> Sequence[Receipt]:
        """See the port."""
        return await self._project.call("unknown_costs", answers.rows(_receipt), limit=limit)

    def _whose(self, user_id: UUID) -> dict[str, object]:
        """What every function needs that may have to make a purse."""
        return {"user_id": user_id, "free_messages": self._free_messages, "now": self._clock()}


def _refuse_negative(amount: MicroEuro) -> None:
    if amount < 0:
        raise ValueError("an amount of money below 0")


def _usage_fields(usage: UsageRecord) -> dict[str, object]:
    return {
        "model_id": usage.model_id,
        "provider_slug": usage.provider_slug,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cost_usd": str(usage.cost_usd),
        "outcome": usage.outcome.value,
        "basis": usage.basis.value,
        "is_zdr": usage.is_zdr,
        "generation_id": usage.generation_id,
        "tags": dict(usage.tags),
    }


def _hold(answer: Any) -> Hold:
    row = answers.fields(answer)
    return Hold(
        id=answers.text(row["id"]),
        user_id=UUID(answers.text(row["user_id"])),
        amount=answers.micro_euro(row["amount"]),
        is_free_message=answers.truth(row["is_free_message"]),
    )


def _resolved(answer: Any) -> Resolved:
    row = answers.fields(answer)
    return Resolved(answers.micro_euro(row["charged"]), answers.truth(row["is_new"]))


def _open_hold(answer: Any) -> OpenHold:
    row = answers.fields(answer)
    return OpenHold(
        hold=_hold(row),
        operation=Operation(row["operation"]),
        model_id=answers.text(row["model_id"]),
        provider_slug=answers.text(row["provider_slug"]),
        progress=Progress(
            generation_id=answers.optional(answers.text)(row["generation_id"]),
            prompt_tokens=answers.number(row["prompt_tokens"]),
            completion_tokens=answers.number(row["completion_tokens"]),
            cost=answers.micro_euro(row["cost"]),
            cost_usd=answers.decimal(row["cost_usd"]),
        ),
        opened_at=answers.moment(row["opened_at"]),
        attempts=answers.number(row["attempts"]),
    )


def _purse(answer: Any) -> Purse:
    row = answers.fields(answer)
    return Purse(
        available=answers.micro_euro(row["available"]),
        held=answers.micro_euro(row["held"]),
        allocated=answers.micro_euro(row["allocated"]),
        period=answers.optional(answers.moment)(row["period"]),
        free_total=answers.number(row["free_total"]),
        free_used=answers.number(row["free_used"]),
    )


def _spending_cap(answer: Any) -> SpendingCap:
    row = answers.fields(answer)
    read: Callable[[Any], MicroEuro | None] = answers.optional(answers.micro_euro)
    return SpendingCap(daily=read(row["daily"]), monthly=read(row["monthly"]))


def _receipt(answer: Any) -> Receipt:
    row = answers.fields(answer)
    return Receipt(
        id=answers.text(row["id"]),
        created_at=answers.moment(row["created_at"]),
        operation=Operation(row["operation"]),
        held=answers.micro_euro(row["held"]),
        charged=answers.micro_euro(row["charged"]),
        is_free_message=answers.truth(row["is_free_message"]),
        usage=UsageRecord(
            model_id=answers.text(row["model_id"]),
            provider_slug=answers.text(row["provider_slug"]),
            prompt_tokens=answers.number(row["prompt_tokens"]),
            completion_tokens=answers.number(row["completion_tokens"]),
            total_tokens=answers.number(row["total_tokens"]),
            cost_usd=answers.decimal(row["cost_usd"]),
            outcome=Outcome(row["outcome"]),
            basis=Basis(row["basis"]),
            is_zdr=answers.truth(row["is_zdr"]),
            generation_id=answers.optional(answers.text)(row["generation_id"]),
            tags=_tags(row["tags"]),
        ),
    )


def _tags(answer: Any) -> Mapping[str, str]:
    return {name: answers.text(value) for name, value in answers.fields(answer).items()}


def _usage_sum(answer: Any) -> UsageSum:
    row = answers.fields(answer)
    return UsageSum(
        key=answers.text(row["key"]),
        requests=answers.number(row["requests"]),
        prompt_tokens=answers.number(row["prompt_tokens"]),
        completion_tokens=answers.number(row["completion_tokens"]),
        total_tokens=answers.number(row["total_tokens"]),
        charged=answers.micro_euro(row["charged"]),
    )


def _difference(answer: Any) -> Difference:
    row = answers.fields(answer)
    return Difference(
        user_id=UUID(answers.text(row["user_id"])),
        what=answers.text(row["what"]),
        recorded=answers.number(row["recorded"]),
        computed=answers.number(row["computed"]),
    )
