"""What the credits need from outside: a store of entries, and upstream's own books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol
from uuid import UUID

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


class LedgerStore(Protocol):
    """Keeps the books. Each call is one transaction: it happens whole and durably, or not at all.

    A user's purse comes into being with the first call that names the user, with the plan's
    free messages. Every method raises `ServiceUnavailable` when the store cannot be reached.
    """

    async def open_hold(self, request: HoldRequest) -> Hold:
        """Set credits aside: `at_most`, or what is left if less, as long as it is `at_least`.

        What is left is the smallest of the available credits and of the room below each spending
        cap (settled this UTC day or month, plus open holds), and below the budget of the API
        key that asks (settled this UTC month through it, plus its open holds). Credits that do
        not cover `at_least` give way to a free message, if one is allowed and left; it counts in
        no budget. `at_most` 0 holds nothing and needs no purse.

        Raises:
            InsufficientCredits: neither credits nor a free message.
            QuotaExceeded: the credits would do, but a spending cap or the key's budget leaves
                less than `at_least`.
            InvalidToken: the API key is not there any more.
            Forbidden: the account is locked for deletion.
        """
        ...

    async def note_progress(self, hold_id: str, progress: Progress) -> None:
        """Keep what is known of running work. Nothing happens to a hold that is resolved."""
        ...

    async def settle(self, hold_id: str, cost: MicroEuro, usage: UsageRecord) -> Resolved:
        """End a hold at its real cost, give the rest back, and write the usage row.

        A cost above the hold is taken in full: the purse may go below 0 by that excess. A free
        message is used up and charges nothing. What is given back to a period that has lapsed
        meanwhile lapses at once. A hold already resolved changes nothing.

        Raises:
            LookupError: there is no such hold.
        """
        ...

    async def release(self, hold_id: str, usage: UsageRecord) -> Resolved:
        """End a hold and give all of it back, a free message too; writes the usage row.

        Raises:
            LookupError: there is no such hold.
        """
        ...

    async def is_held(self, hold_id: str) -> bool:
        """Whether there is such a hold and it is not resolved yet."""
        ...

    async def renew_leases(self, owner: str, until: datetime) -> int:
        """Say that this process still lives; returns how many open holds are its own."""
        ...

    async def claim_orphans(
        self, owner: str, now: datetime, lease_until: datetime, limit: int
    ) -> Sequence[OpenHold]:
        """Take over open holds whose lease has ended, so that no two processes finish one.

        Counts an attempt for each; the oldest first.
        """
        ...

    async def defer(self, hold_id: str, until: datetime) -> None:
        """Leave an open hold to whoever reconciles from `until` on."""
        ...

    async def grant(
        self, user_id: UUID, amount: MicroEuro, reference: str, period: datetime | None = None
    ) -> bool:
        """Add credits, once for each reference; False for a repeat.

        With a later `period` than the purse's, what is left of the old one lapses first and
        `allocated` becomes this amount. A grant of an earlier period (its event came late) is
        entered and lapses at once. Without a period it adds to the present one, and the first
        period of a purse adds to what was there before. An account under deletion gets nothing.
        """
        ...

    async def take_back(
        self, user_id: UUID, grant_reference: str, amount: MicroEuro, reference: str
    ) -> MicroEuro:
        """Take up to `amount` of a grant back (a refund), once for each reference.

        Never more than is available, and nothing of a grant that has lapsed. Returns what was
        taken; for a repeat, what it took then. When all of the grant is asked back, what its
        open holds give back later lapses.
        """
        ...

    async def give_back(self, user_id: UUID, reference: str) -> MicroEuro:
        """Undo the `take_back` of this reference, once: the money came back.

        Gives what it took, unless its grant has lapsed since; `allocated` stays, for nothing new
        was paid. The grant can then be taken back as if nothing had been. Returns what was given;
        for a repeat, what it gave then; 0 where nothing was taken.
        """
        ...

    async def lapse(self, user_id: UUID, reference: str) -> MicroEuro:
        """End the present credits (the subscription ended); returns how much, a repeat 0.

        What open holds give back later lapses as well; `allocated` becomes 0.
        """
        ...

    async def purse(self, user_id: UUID) -> Purse:
        """What the user has now."""
        ...

    async def spending_cap(self, user_id: UUID) -> SpendingCap:
        """The user's own limits."""
        ...

    async def key_budget_left(self, api_key_id: UUID) -> MicroEuro | None:
        """What a key's budget leaves of this UTC month, open holds taken off; None: no limit.

        Below 0 where a turn cost more than its hold. Of a key that is gone: 0.
        """
        ...

    async def set_spending_cap(self, user_id: UUID, cap: SpendingCap) -> None:
        """Replace both limits.

        Raises:
            Forbidden: the account is locked for deletion.
        """
        ...

    async def receipts(
        self, user_id: UUID, *, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Receipt]:
        """Usage rows, newest first, strictly older than `before` (time, then id)."""
        ...

    async def usage_sums(
        self, user_id: UUID, by: Literal["day", "model"], since: datetime, until: datetime
    ) -> Sequence[UsageSum]:
        """Usage of a span of time: by day, newest first; or by model, dearest first."""
        ...

    async def verify(self) -> Sequence[Difference]:
        """Recompute every balance, hold and usage row from the entries; empty when all agree."""
        ...

    async def unknown_costs(self, limit: int) -> Sequence[Receipt]:
        """The newest usage rows whose cost stayed unknown (`Basis.UNKNOWN`), of all users."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationCost:
    """What upstream's own books say of one request."""

    cost_usd: Decimal
    prompt_tokens: int
    completion_tokens: int


class GenerationCosts(Protocol):
    """An upstream that can be asked later what a request cost."""

    async def cost_of(self, generation_id: str) -> GenerationCost | None:
        """Its cost; None while upstream does not know it (yet).

        Raises:
            ChukError: upstream cannot be asked right now.
        """
        ...
