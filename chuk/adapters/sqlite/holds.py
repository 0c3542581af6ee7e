"""Holds that are open: what is known of them, and whose they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from chuk.adapters.sqlite.moments import moment
from chuk.credits.ledger import Hold, OpenHold, Operation, Progress
from chuk.credits.money import MicroEuro

_NOTE = """
UPDATE open_holds
SET generation_id = coalesce(?, generation_id), prompt_tokens = ?, completion_tokens = ?,
    cost = ?, cost_usd = ?
WHERE id = ?
"""
_CLAIM = """
UPDATE open_holds SET owner = ?, lease_until = ?, attempts = attempts + 1
WHERE id IN (
    SELECT id FROM open_holds WHERE lease_until <= ? ORDER BY opened_at, id LIMIT ?
)
RETURNING id, user_id, amount, is_free_message, operation, model_id, provider_slug,
    generation_id, prompt_tokens, completion_tokens, cost, cost_usd, opened_at, attempts
"""


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


def is_held(connection: sqlite3.Connection, hold_id: str) -> bool:
    """`LedgerStore.is_held`."""
    found = connection.execute("SELECT 1 FROM open_holds WHERE id = ?", (hold_id,)).fetchone()
    return found is not None


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
