"""The words of the ledger: holds, entries, receipts.

A hold takes credits (or one free message) out of what is available before any work is paid for.
It is resolved exactly once: settled, at what the work really cost, or released. Every change of
a balance is an entry with a reference of its own, so that saying it twice changes nothing, and
the balances beside the entries can be proven from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from chuk.credits.money import MicroEuro


class Operation(StrEnum):
    """What is paid for."""

    CHAT = "chat"
    IMAGE = "image"
    TRANSCRIPTION = "transcription"
    CONVERSION = "conversion"
    SPEECH = "speech"
    EMBEDDING = "embedding"


class EntryKind(StrEnum):
    """What an entry of the ledger does."""

    GRANT = "grant"
    HOLD = "hold"
    SETTLE = "settle"
    RELEASE = "release"
    LAPSE = "lapse"
    ADJUST = "adjust"


class Outcome(StrEnum):
    """How the work ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"  # its user stopped it, or left
    INTERRUPTED = "interrupted"  # it broke off after a part was delivered
    FAILED = "failed"  # nothing was delivered


class Basis(StrEnum):
    """Why a cost is what it is."""

    UPSTREAM = "upstream"  # upstream's own cost
    TOKENS = "tokens"  # upstream's counts x price
    ESTIMATE = "estimate"  # our count of what was delivered x price
    NOTHING = "nothing"  # nothing was taken
    UNKNOWN = "unknown"  # upstream never said, and nothing was recorded as delivered


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """What to hold.

    Attributes:
        id: unique for ever (a turn's stream id); a repeat returns the hold that is there.
        at_most: the upper estimate of the cost. 0: the work is free of charge, no purse is needed.
        at_least: what must be affordable, or the work is not begun at all.
        allows_free_message: whether a free message may stand in where credits do not cover
            `at_least`.
        owner: the process that will resolve it.
        lease_until: until when the owner is taken to be alive; renewed while it is.
        api_key_id: the personal API key that asked, whose budget counts too.
    """

    id: str
    user_id: UUID
    operation: Operation
    model_id: str
    provider_slug: str
    at_most: MicroEuro
    at_least: MicroEuro
    allows_free_message: bool
    owner: str
    lease_until: datetime
    api_key_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Credits set aside, or one free message (then `amount` is 0)."""

    id: str
    user_id: UUID
    amount: MicroEuro
    is_free_message: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of running work, kept so that a crash loses nothing of it.

    Attributes:
        generation_id: upstream's own name for the request.
        prompt_tokens, completion_tokens: delivered so far, by our count; of media the second one
            is what the usage row's total counts.
        cost: what that much costs.
        cost_usd: the same, as upstream charges it.
    """

    generation_id: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: MicroEuro = MicroEuro(0)
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What finished work took; one row of `usage_logs`.

    Attributes:
        total_tokens: over 0 for media too, where both other counts are 0.
        cost_usd: what upstream charged, or would have.
        is_zdr: whether the provider keeps no data.
        tags: small and flat, the client's own; never a message's text.
    """

    model_id: str
    provider_slug: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: Decimal
    outcome: Outcome
    basis: Basis
    is_zdr: bool
    generation_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolved:
    """How a hold ended.

    Attributes:
        charged: what was taken from the credits; 0 for a free message.
        is_new: False where the hold had been resolved before; `charged` is then what it was.
    """

    charged: MicroEuro
    is_new: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """One usage row as its user sees it. `id` is the hold's, which is the turn's.

    `api_key_id`: the personal API key that asked for it.
    """

    id: str
    created_at: datetime
    operation: Operation
    held: MicroEuro
    charged: MicroEuro
    is_free_message: bool
    usage: UsageRecord
    api_key_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class UsageSum:
    """Usage of one day (`2026-01-15`, UTC) or of one model."""

    key: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    charged: MicroEuro


@dataclass(frozen=True, slots=True)
class OpenHold:
    """An orphan: a hold whose owner no longer renews its lease, with all that is known of it."""

    hold: Hold
    operation: Operation
    model_id: str
    provider_slug: str
    progress: Progress
    opened_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Purse:
    """What a user has.

    Attributes:
        available: net of what is on hold; below 0 by at most one turn's excess.
        held: set aside by open holds.
        allocated: credits of the present period, as granted.
        period: when the period of the last grant began; None before the first.
        free_total, free_used: free messages; one on hold counts as used.
    """

    available: MicroEuro
    held: MicroEuro
    allocated: MicroEuro
    period: datetime | None
    free_total: int
    free_used: int


@dataclass(frozen=True, slots=True)
class SpendingCap:
    """A person's own limits, in UTC days and months; None: no limit."""

    daily: MicroEuro | None = None
    monthly: MicroEuro | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A balance that the entries do not explain.

    `what` names the figure: available, held, free_used, allocated, hold:<id>, usage.
    """

    user_id: UUID
    what: str
    recorded: int
    computed: int
