"""How a hold is meant to end, kept until it is written down."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chuk.credits.ledger import Basis, UsageRecord
from chuk.credits.money import MicroEuro
from chuk.credits.ports import GenerationCost


@dataclass(slots=True)
class Intent:
    """The end of one hold.

    Attributes:
        cost: what is taken; None: all is given back.
        asks_upstream: `cost` is only taken when upstream does not say what it charged.
        may_be_missing: nobody knows whether the hold was made at all.
        attempts: how often this was tried.
    """

    hold_id: str
    cost: MicroEuro | None
    usage: UsageRecord
    asks_upstream: bool = False
    may_be_missing: bool = False
    attempts: int = 0


def with_real_cost(usage: UsageRecord, cost: GenerationCost) -> UsageRecord:
    """The same usage, by upstream's own books."""
    return replace(
        usage,
        prompt_tokens=cost.prompt_tokens,
        completion_tokens=cost.completion_tokens,
        total_tokens=cost.prompt_tokens + cost.completion_tokens,
        cost_usd=cost.cost_usd,
        basis=Basis.UPSTREAM,
    )
