"""Credits that come, are taken back, and lapse."""

from __future__ import annotations

import sqlite3
from uuid import UUID

from chuk.adapters.sqlite import entries
from chuk.adapters.sqlite.moments import microseconds
from chuk.adapters.sqlite.purses import PurseRow, find_purse, is_locked, purse_made
from chuk.clock import Clock
from chuk.credits.ledger import EntryKind
from chuk.credits.money import MicroEuro

_TOO_LATE = -1

_TAKEN = """
SELECT coalesce(sum(-available_change), 0), coalesce(sum(asked), 0)
FROM ledger_entries WHERE about = ? AND kind = 'adjust'
"""
_TAKEN_UNDER = """
SELECT about, -available_change, asked FROM ledger_entries
WHERE reference = 'adjust:' || ? AND user_id = ?
"""
_ALLOCATE = "UPDATE purses SET allocated = ?, period = ?, epoch = ? WHERE user_id = ?"


def grant(
    connection: sqlite3.Connection,
    user_id: UUID,
    amount: int,
    reference: str,
    period: int | None,
    free_messages: int,
    clock: Clock,
) -> bool:
    """`LedgerStore.grant`."""
    if entries.find(connection, EntryKind.GRANT, reference) or is_locked(connection, user_id):
        return False
    purse, now = purse_made(connection, user_id, free_messages), microseconds(clock())
    is_late = period is not None and purse.period is not None and period < purse.period
    is_renewal = period is not None and purse.period is not None and period > purse.period
    epoch = purse.epoch
    if is_renewal:
        epoch += 1
        _lapse_all(connection, user_id, purse, f"grant:{reference}", now)
    entries.enter(
        connection,
        user_id.bytes,
        EntryKind.GRANT,
        reference,
        amount,
        now,
        period=period,
        epoch=_TOO_LATE if is_late else epoch,
    )
    if is_late:
        entries.enter(
            connection,
            user_id.bytes,
            EntryKind.LAPSE,
            f"grant:{reference}",
            -amount,
            now,
            about=reference,
        )
    else:
        allocated = amount if is_renewal else purse.allocated + amount
        present = purse.period if period is None else period
        connection.execute(_ALLOCATE, (allocated, present, epoch, user_id.bytes))
    return True


def take_back(
    connection: sqlite3.Connection,
    user_id: UUID,
    grant_reference: str,
    amount: int,
    reference: str,
    clock: Clock,
) -> MicroEuro:
    """`LedgerStore.take_back`."""
    repeated = entries.find(connection, EntryKind.ADJUST, reference)
    if repeated is not None:
        return MicroEuro(-repeated.available_change)
    granted = entries.find(connection, EntryKind.GRANT, grant_reference)
    purse = find_purse(connection, user_id)
    if granted is None or purse is None or granted.user_id != user_id.bytes:
        return MicroEuro(0)
    taken, asked = connection.execute(_TAKEN, (grant_reference,)).fetchone()
    taking = 0
    if granted.epoch == purse.epoch:
        taking = max(0, min(amount, granted.available_change - taken, purse.available))
        if asked + amount >= granted.available_change:
            _mark_holds(connection, user_id)
    entries.enter(
        connection,
        user_id.bytes,
        EntryKind.ADJUST,
        reference,
        -taking,
        microseconds(clock()),
        about=grant_reference,
        asked=amount,
    )
    return MicroEuro(taking)


def give_back(
    connection: sqlite3.Connection, user_id: UUID, reference: str, clock: Clock
) -> MicroEuro:
    """`LedgerStore.give_back`."""
    undone = f"{reference}:undone"
    repeated = entries.find(connection, EntryKind.ADJUST, undone)
    if repeated is not None:
        return MicroEuro(repeated.available_change)
    purse = find_purse(connection, user_id)
    row = connection.execute(_TAKEN_UNDER, (reference, user_id.bytes)).fetchone()
    # Earlier versions gave it back as a grant of its own.
    is_done = entries.find(connection, EntryKind.GRANT, undone) is not None
    if purse is None or row is None or is_done or is_locked(connection, user_id):
        return MicroEuro(0)
    grant_reference, taken, asked = row
    granted = entries.find(connection, EntryKind.GRANT, grant_reference)
    giving = taken if granted is not None and granted.epoch == purse.epoch else 0
    if asked:
        entries.enter(
            connection,
            user_id.bytes,
            EntryKind.ADJUST,
            undone,
            giving,
            microseconds(clock()),
            about=grant_reference,
            asked=-asked,
        )
    return MicroEuro(giving)


def lapse(
    connection: sqlite3.Connection, user_id: UUID, reference: str, free_messages: int, clock: Clock
) -> MicroEuro:
    """`LedgerStore.lapse`."""
    if entries.find(connection, EntryKind.LAPSE, reference) or is_locked(connection, user_id):
        return MicroEuro(0)
    purse = purse_made(connection, user_id, free_messages)
    lapsed = _lapse_all(connection, user_id, purse, reference, microseconds(clock()))
    connection.execute(_ALLOCATE, (0, purse.period, purse.epoch + 1, user_id.bytes))
    return MicroEuro(lapsed)


def _lapse_all(
    connection: sqlite3.Connection, user_id: UUID, purse: PurseRow, reference: str, now: int
) -> int:
    """End what is available. A debt stays one: what was spent too much is paid next time."""
    lapsed = max(0, purse.available)
    entries.enter(connection, user_id.bytes, EntryKind.LAPSE, reference, -lapsed, now)
    _mark_holds(connection, user_id)
    return lapsed


def _mark_holds(connection: sqlite3.Connection, user_id: UUID) -> None:
    connection.execute("UPDATE open_holds SET lapses = 1 WHERE user_id = ?", (user_id.bytes,))
