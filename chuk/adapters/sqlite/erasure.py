"""Erasing what is known of a user. What was used stays, in sums of no one in particular."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from uuid import UUID

from chuk.accounts.ports import OpenHoldsError
from chuk.adapters.sqlite.moments import moment

_USAGE = """
SELECT created_at, operation, model_id, total_tokens, total_cost_usd, charged
FROM usage_logs WHERE user_id = ?
"""
_ADD = """
INSERT INTO usage_sums VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    requests = requests + excluded.requests,
    total_tokens = total_tokens + excluded.total_tokens,
    total_cost_usd = excluded.total_cost_usd,
    charged = charged + excluded.charged
"""
_COST = """
SELECT total_cost_usd FROM usage_sums WHERE month = ? AND operation = ? AND model_id = ?
"""
# An event's id stays, so that a repeat is known; whom it was about does not.
_OWN_EVENTS = """
UPDATE stripe_events SET customer_id = NULL, object_id = NULL
WHERE customer_id IN (SELECT customer_id FROM customers WHERE user_id = ?1)
"""
# All its holds are resolved by now, and each has a usage row.
_ENTRIES_OF_HOLDS = """
DELETE FROM ledger_entries WHERE reference IN (
    SELECT kind || ':' || id FROM usage_logs
    CROSS JOIN (SELECT 'hold' AS kind UNION SELECT 'settle' UNION SELECT 'release')
    WHERE user_id = ?1
)
"""
_OTHER_ENTRIES = """
DELETE FROM ledger_entries WHERE user_id = ?1 AND kind IN ('grant', 'lapse', 'adjust')
"""
# What is found through other rows goes before them.
_ROWS = (
    _OWN_EVENTS,
    _ENTRIES_OF_HOLDS,
    _OTHER_ENTRIES,
    "DELETE FROM usage_logs WHERE user_id = ?1",
    "DELETE FROM api_keys WHERE user_id = ?1",
    "DELETE FROM purses WHERE user_id = ?1",
    "DELETE FROM subscriptions WHERE user_id = ?1",
    "DELETE FROM customers WHERE user_id = ?1",
)


def erase(connection: sqlite3.Connection, user_id: UUID) -> None:
    """`DeletionStore.erase_records`, for an account that is locked: entries go in no other way."""
    is_open = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM open_holds WHERE user_id = ?)", (user_id.bytes,)
    ).fetchone()
    if is_open[0]:
        raise OpenHoldsError
    _keep_sums(connection, user_id)
    for statement in _ROWS:
        connection.execute(statement, (user_id.bytes,))


def _keep_sums(connection: sqlite3.Connection, user_id: UUID) -> None:
    sums: dict[tuple[str, str, str], list[int]] = {}
    costs: dict[tuple[str, str, str], Decimal] = {}
    for created_at, operation, model_id, tokens, cost_usd, charged in connection.execute(
        _USAGE, (user_id.bytes,)
    ):
        key = (f"{moment(created_at):%Y-%m}", operation, model_id)
        figures = sums.setdefault(key, [0, 0, 0])
        for index, figure in enumerate((1, tokens, charged)):
            figures[index] += figure
        costs[key] = costs.get(key, Decimal(0)) + Decimal(cost_usd)
    for key, (requests, tokens, charged) in sums.items():
        kept = connection.execute(_COST, key).fetchone()
        cost = costs[key] + Decimal(kept[0] if kept else 0)
        connection.execute(_ADD, (*key, requests, tokens, str(cost), charged))
