"""Reads the answers of the ledger's functions, and writes a usage record as they take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from chuk.adapters.supabase import answers
from chuk.credits.ledger import (
    Basis,
    Difference,
    Hold,
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


def usage_fields(usage: UsageRecord) -> dict[str, object]:
    """The record as `chuk.end_hold` reads it."""
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


def hold(answer: Any) -> Hold:
    """A hold."""
    row = answers.fields(answer)
    return Hold(
        id=answers.text(row["id"]),
        user_id=UUID(answers.text(row["user_id"])),
        amount=answers.micro_euro(row["amount"]),
        is_free_message=answers.truth(row["is_free_message"]),
    )


def resolved(answer: Any) -> Resolved:
    """How a hold ended."""
    row = answers.fields(answer)
    return Resolved(answers.micro_euro(row["charged"]), answers.truth(row["is_new"]))


def open_hold(answer: Any) -> OpenHold:
    """An orphan."""
    row = answers.fields(answer)
    return OpenHold(
        hold=hold(row),
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


def purse(answer: Any) -> Purse:
    """A purse."""
    row = answers.fields(answer)
    return Purse(
        available=answers.micro_euro(row["available"]),
        held=answers.micro_euro(row["held"]),
        allocated=answers.micro_euro(row["allocated"]),
        period=answers.optional(answers.moment)(row["period"]),
        free_total=answers.number(row["free_total"]),
        free_used=answers.number(row["free_used"]),
    )


def spending_cap(answer: Any) -> SpendingCap:
    """The caps of a purse."""
    row = answers.fields(answer)
    read: Callable[[Any], MicroEuro | None] = answers.optional(answers.micro_euro)
    return SpendingCap(daily=read(row["daily"]), monthly=read(row["monthly"]))


def receipt(answer: Any) -> Receipt:
    """A usage row."""
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
        api_key_id=answers.optional(UUID)(row.get("api_key_id")),
    )


def _tags(answer: Any) -> Mapping[str, str]:
    return {name: answers.text(value) for name, value in answers.fields(answer).items()}


def usage_sum(answer: Any) -> UsageSum:
    """A sum of usage rows."""
    row = answers.fields(answer)
    return UsageSum(
        key=answers.text(row["key"]),
        requests=answers.number(row["requests"]),
        prompt_tokens=answers.number(row["prompt_tokens"]),
        completion_tokens=answers.number(row["completion_tokens"]),
        total_tokens=answers.number(row["total_tokens"]),
        charged=answers.micro_euro(row["charged"]),
    )


def difference(answer: Any) -> Difference:
    """A figure that the entries do not explain."""
    row = answers.fields(answer)
    return Difference(
        user_id=UUID(answers.text(row["user_id"])),
        what=answers.text(row["what"]),
        recorded=answers.number(row["recorded"]),
        computed=answers.number(row["computed"]),
    )
