"""Holds, from opening to their end. Few statements: every turn pays for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import orjson

from chuk.adapters.sqlite import entries
from chuk.adapters.sqlite.moments import DAY, microseconds, moment
from chuk.adapters.sqlite.purses import is_locked, make_purse
from chuk.clock import Clock
from chuk.credits.ledger import (
    EntryKind,
    Hold,
    HoldRequest,
    OpenHold,
    Operation,
    Progress,
    Resolved,
    UsageRecord,
)
from chuk.credits.money import MicroEuro, euros
from chuk.errors import Forbidden, InsufficientCredits, QuotaExceeded

_PURSE_AND_LOCK = """
SELECT available, held, free_total - free_used, daily_cap, monthly_cap,
    EXISTS (SELECT 1 FROM deletions WHERE user_id = ?1)
FROM purses WHERE user_id = ?1
"""
_SPENT = "SELECT coalesce(sum(charged), 0) FROM usage_logs WHERE user_id = ? AND created_at >= ?"
_ENTER_HOLD = """
INSERT INTO ledger_entries
    (user_id, kind, reference, about, available_change, held_change, free_used_change, created_at)
VALUES (?, 'hold', ?, ?, ?, ?, ?, ?)
ON CONFLICT (reference) DO NOTHING
"""
_KEEP_HOLD = """
INSERT INTO open_holds
    (id, user_id, amount, is_free_message, operation, model_id, provider_slug,
     owner, lease_until, opened_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_NOTE = """
UPDATE open_holds
SET generation_id = coalesce(?, generation_id), prompt_tokens = ?, completion_tokens = ?,
    cost = ?, cost_usd = ?
WHERE id = ?
"""
_END_HOLD = """
DELETE FROM open_holds WHERE id = ?
RETURNING user_id, amount, is_free_message, lapses, operation
"""
_ENTER_END = """
INSERT INTO ledger_entries
    (user_id, kind, reference, about, available_change, held_change, free_used_change, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_KEEP_USAGE = """
INSERT INTO usage_logs
    (id, user_id, operation, model_id, provider_slug, prompt_tokens, completion_tokens,
     total_tokens, total_cost_usd, held, charged, is_free_message, outcome, basis, is_zdr,
     generation_id, tags, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CLAIM = """
UPDATE open_holds SET owner = ?, lease_until = ?, attempts = attempts + 1
WHERE id IN (
    SELECT id FROM open_holds WHERE lease_until <= ? ORDER BY opened_at, id LIMIT ?
)
RETURNING id, user_id, amount, is_free_message, operation, model_id, provider_slug,
    generation_id, prompt_tokens, completion_tokens, cost, cost_usd, opened_at, attempts
"""


def open_hold(
    connection: sqlite3.Connection, request: HoldRequest, free_messages: int, clock: Clock
) -> Hold:
    """`LedgerStore.open_hold`. Nothing is written before every reason to refuse is past."""
    user_id = request.user_id.bytes
    purse = connection.execute(_PURSE_AND_LOCK, (user_id,)).fetchone()
    is_new = purse is None
    if is_new:
        if is_locked(connection, request.user_id):
            raise Forbidden
        purse = (0, 0, free_messages, None, None, 0)
    elif purse[5]:
        raise Forbidden
    now = microseconds(clock())
    try:
        amount, is_free = _affordable(connection, request, purse, now)
    except (InsufficientCredits, QuotaExceeded):
        repeated = _hold_entered(connection, request.id)
        if repeated is None:
            raise
        return repeated
    if is_new:
        make_purse(connection, request.user_id, free_messages)
    entered = connection.execute(
        _ENTER_HOLD,
        (user_id, f"hold:{request.id}", request.id, -amount, amount, int(is_free), now),
    )
    if not entered.rowcount:
        repeated = _hold_entered(connection, request.id)
        assert repeated is not None
        return repeated
    connection.execute(
        _KEEP_HOLD,
        (
            request.id,
            user_id,
            amount,
            int(is_free),
            request.operation.value,
            request.model_id,
            request.provider_slug,
            request.owner,
            microseconds(request.lease_until),
            now,
        ),
    )
    return Hold(request.id, request.user_id, MicroEuro(amount), is_free)


def _affordable(
    connection: sqlite3.Connection,
    request: HoldRequest,
    purse: tuple[int, int, int, int | None, int | None, int],
    now: int,
) -> tuple[int, bool]:
    """How much to hold, and whether a free message is held instead."""
    if request.at_most <= 0:
        return 0, False
    available, held, free_left, daily_cap, monthly_cap, _ = purse
    # Something, at the least: an empty purse affords nothing, however cheap it is.
    at_least = max(1, request.at_least)
    if available < at_least:
        if request.allows_free_message and free_left > 0:
            return 0, True
        raise InsufficientCredits(
            required=euros(MicroEuro(at_least)),
            available=euros(MicroEuro(max(0, available))),
            operation=request.operation.value,
        )
    amount = min(request.at_most, available)
    for period, cap in (("day", daily_cap), ("month", monthly_cap)):
        if cap is None:
            continue
        spent = held + _spent(connection, request.user_id, period, now)
        if cap - spent < at_least:
            raise QuotaExceeded(
                period=period, cap=euros(MicroEuro(cap)), spent=euros(MicroEuro(spent))
            )
        amount = min(amount, cap - spent)
    return amount, False


def _spent(connection: sqlite3.Connection, user_id: UUID, period: str, now: int) -> int:
    """What was settled since the UTC day or month began."""
    begin = now - now % DAY
    if period == "month":
        begin -= (moment(now).day - 1) * DAY
    spent: int = connection.execute(_SPENT, (user_id.bytes, begin)).fetchone()[0]
    return spent


def _hold_entered(connection: sqlite3.Connection, hold_id: str) -> Hold | None:
    found = entries.find(connection, EntryKind.HOLD, hold_id)
    if found is None:
        return None
    amount, is_free = MicroEuro(found.held_change), bool(found.free_used_change)
    return Hold(hold_id, UUID(bytes=found.user_id), amount, is_free)


def note_progress(connection: sqlite3.Connection, hold_id: str, progress: Progress) -> None:
    """`LedgerStore.note_progress`."""
    connection.execute(
        _NOTE,
        (
            progress.generation_id,
            progress.prompt_tokens,
            progress.completion_tokens,
            progress.cost,
            str(progress.cost_usd),
            hold_id,
        ),
    )


def end_hold(
    connection: sqlite3.Connection,
    hold_id: str,
    cost: int | None,
    usage: UsageRecord,
    clock: Clock,
) -> Resolved:
    """`LedgerStore.settle` at a cost, `LedgerStore.release` for None."""
    ended = connection.execute(_END_HOLD, (hold_id,)).fetchall()
    if not ended:
        return _ended_before(connection, hold_id)
    user_id, amount, is_free, lapses, operation = ended[0]
    kind = "release" if cost is None else "settle"
    charged = 0 if is_free or cost is None else cost
    rest, now = amount - charged, microseconds(clock())
    connection.execute(
        _ENTER_END,
        (
            user_id,
            kind,
            f"{kind}:{hold_id}",
            hold_id,
            rest,
            -amount,
            -1 if is_free and cost is None else 0,
            now,
        ),
    )
    if lapses and rest > 0:
        entries.enter(
            connection, user_id, EntryKind.LAPSE, f"hold:{hold_id}", -rest, now, about=hold_id
        )
    connection.execute(
        _KEEP_USAGE,
        (
            hold_id,
            user_id,
            operation,
            usage.model_id,
            usage.provider_slug,
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            str(usage.cost_usd),
            amount,
            charged,
            is_free,
            usage.outcome.value,
            usage.basis.value,
            int(usage.is_zdr),
            usage.generation_id,
            orjson.dumps(dict(usage.tags)).decode() if usage.tags else None,
            now,
        ),
    )
    return Resolved(MicroEuro(charged), is_new=True)


def _ended_before(connection: sqlite3.Connection, hold_id: str) -> Resolved:
    for kind in (EntryKind.SETTLE, EntryKind.RELEASE):
        found = entries.find(connection, kind, hold_id)
        if found is not None:
            charged = MicroEuro(-found.held_change - found.available_change)
            return Resolved(charged, is_new=False)
    raise LookupError(hold_id)


def renew_leases(connection: sqlite3.Connection, owner: str, until: int) -> int:
    """`LedgerStore.renew_leases`."""
    renewed = connection.execute(
        "UPDATE open_holds SET lease_until = ? WHERE owner = ?", (until, owner)
    )
    return renewed.rowcount


def claim_orphans(
    connection: sqlite3.Connection, owner: str, now: int, lease_until: int, limit: int
) -> Sequence[OpenHold]:
    """`LedgerStore.claim_orphans`."""
    rows = connection.execute(_CLAIM, (owner, lease_until, now, limit)).fetchall()
    claimed = [
        OpenHold(
            hold=Hold(hold_id, UUID(bytes=user_id), MicroEuro(amount), bool(is_free)),
            operation=Operation(operation),
            model_id=model_id,
            provider_slug=provider_slug,
            progress=Progress(
                generation_id, prompt_tokens, completion_tokens, MicroEuro(cost), Decimal(cost_usd)
            ),
            opened_at=moment(opened_at),
            attempts=attempts,
        )
        for (
            hold_id,
            user_id,
            amount,
            is_free,
            operation,
            model_id,
            provider_slug,
            generation_id,
            prompt_tokens,
            completion_tokens,
            cost,
            cost_usd,
            opened_at,
            attempts,
        ) in rows
    ]
    return sorted(claimed, key=lambda each: (each.opened_at, each.hold.id))


def defer(connection: sqlite3.Connection, hold_id: str, until: int) -> None:
    """`LedgerStore.defer`. Without an owner, so that nobody renews it meanwhile."""
    connection.execute(
        "UPDATE open_holds SET owner = '', lease_until = ? WHERE id = ?", (until, hold_id)
    )
