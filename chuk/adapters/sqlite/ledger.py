"""The ledger in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from chuk.adapters.sqlite import grants, holds, usage, verification
from chuk.adapters.sqlite.database import Database
from chuk.adapters.sqlite.ending import End, Ending
from chuk.adapters.sqlite.moments import microseconds, microseconds_or_none, moment_or_none
from chuk.adapters.sqlite.opening import Opening, key_budget_left
from chuk.adapters.sqlite.purses import PurseRow, find_purse, make_purse, purse_made, refuse_locked
from chuk.clock import Clock, utc_now
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


class SqliteLedger:
    """A `LedgerStore`; each method is described there.

    Args:
        free_messages: what a new purse starts with.
    """

    def __init__(self, database: Database, *, free_messages: int, clock: Clock = utc_now) -> None:
        self._database = database
        self._free_messages = free_messages
        self._clock = clock
        self._opening = Opening(free_messages, clock)
        self._ending = Ending(clock)

    async def open_hold(self, request: HoldRequest) -> Hold:
        """Set credits or a free message aside."""
        return await self._database.write_many(self._opening, request)

    async def note_progress(self, hold_id: str, progress: Progress) -> None:
        """Keep what is known of running work."""
        await self._database.write_note(hold_id, holds.note_progress, hold_id, progress)

    async def settle(self, hold_id: str, cost: MicroEuro, usage: UsageRecord) -> Resolved:
        """End a hold at its real cost."""
        _refuse_negative(cost)
        return await self._database.write_many(
            self._ending, End(hold_id, int(cost), usage), ends=hold_id
        )

    async def release(self, hold_id: str, usage: UsageRecord) -> Resolved:
        """End a hold and give all of it back."""
        return await self._database.write_many(
            self._ending, End(hold_id, None, usage), ends=hold_id
        )

    async def is_held(self, hold_id: str) -> bool:
        """Whether a hold is open."""
        return await self._database.read(holds.is_held, hold_id)

    async def renew_leases(self, owner: str, until: datetime) -> int:
        """Say that this process still lives."""
        return await self._database.write(holds.renew_leases, owner, microseconds(until))

    async def claim_orphans(
        self, owner: str, now: datetime, lease_until: datetime, limit: int
    ) -> Sequence[OpenHold]:
        """Take over open holds whose lease has ended."""
        return await self._database.write(
            holds.claim_orphans, owner, microseconds(now), microseconds(lease_until), limit
        )

    async def defer(self, hold_id: str, until: datetime) -> None:
        """Leave an open hold to whoever reconciles later."""
        await self._database.write(holds.defer, hold_id, microseconds(until))

    async def grant(
        self, user_id: UUID, amount: MicroEuro, reference: str, period: datetime | None = None
    ) -> bool:
        """Add credits, once for each reference."""
        _refuse_negative(amount)
        return await self._database.write(
            grants.grant,
            user_id,
            int(amount),
            reference,
            microseconds_or_none(period),
            self._free_messages,
            self._clock,
        )

    async def take_back(
        self, user_id: UUID, grant_reference: str, amount: MicroEuro, reference: str
    ) -> MicroEuro:
        """Take up to this much of a grant back, once for each reference."""
        _refuse_negative(amount)
        return await self._database.write(
            grants.take_back, user_id, grant_reference, int(amount), reference, self._clock
        )

    async def give_back(self, user_id: UUID, reference: str) -> MicroEuro:
        """Undo a `take_back`, once."""
        return await self._database.write(grants.give_back, user_id, reference, self._clock)

    async def lapse(self, user_id: UUID, reference: str) -> MicroEuro:
        """End the present credits."""
        return await self._database.write(
            grants.lapse, user_id, reference, self._free_messages, self._clock
        )

    async def purse(self, user_id: UUID) -> Purse:
        """What the user has now."""
        row = await self._purse_row(user_id)
        return Purse(
            available=MicroEuro(row.available),
            held=MicroEuro(row.held),
            allocated=MicroEuro(row.allocated),
            period=moment_or_none(row.period),
            free_total=row.free_total,
            free_used=row.free_used,
        )

    async def spending_cap(self, user_id: UUID) -> SpendingCap:
        """The user's own limits."""
        row = await self._purse_row(user_id)
        return SpendingCap(_money_or_none(row.daily_cap), _money_or_none(row.monthly_cap))

    async def key_budget_left(self, api_key_id: UUID) -> MicroEuro | None:
        """What a key's budget leaves of this month."""
        return await self._database.read(key_budget_left, api_key_id, self._clock)

    async def set_spending_cap(self, user_id: UUID, cap: SpendingCap) -> None:
        """Replace both limits."""
        await self._database.write(_set_cap, user_id, cap, self._free_messages)

    async def receipts(
        self, user_id: UUID, *, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Receipt]:
        """Usage rows, newest first."""
        return await self._database.read(usage.receipts, user_id, before, limit)

    async def usage_sums(
        self, user_id: UUID, by: Literal["day", "model"], since: datetime, until: datetime
    ) -> Sequence[UsageSum]:
        """Usage of a span of time, by day or by model."""
        return await self._database.read(usage.usage_sums, user_id, by, since, until)

    async def verify(self) -> Sequence[Difference]:
        """Recompute everything from the entries."""
        return await self._database.read(verification.verify)

    async def unknown_costs(self, limit: int) -> Sequence[Receipt]:
        """The newest usage rows whose cost stayed unknown."""
        return await self._database.read(usage.unknown_costs, limit)

    async def _purse_row(self, user_id: UUID) -> PurseRow:
        found = await self._database.read(find_purse, user_id)
        if found is None:
            found = await self._database.write(purse_made, user_id, self._free_messages)
        return found


def _set_cap(
    connection: sqlite3.Connection, user_id: UUID, cap: SpendingCap, free_messages: int
) -> None:
    refuse_locked(connection, user_id)
    make_purse(connection, user_id, free_messages)
    connection.execute(
        "UPDATE purses SET daily_cap = ?, monthly_cap = ? WHERE user_id = ?",
        (cap.daily, cap.monthly, user_id.bytes),
    )


def _money_or_none(amount: int | None) -> MicroEuro | None:
    return None if amount is None else MicroEuro(amount)


def _refuse_negative(amount: MicroEuro) -> None:
    if amount < 0:
        raise ValueError("an amount of money below 0")
