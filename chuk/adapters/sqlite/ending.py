"""Ending holds, as many at once as wait for it. Every turn pays for this: few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from chuk.adapters.sqlite import entries
from chuk.adapters.sqlite.moments import microseconds
from chuk.adapters.sqlite.statements import delete_rows, insert_rows, select_lists
from chuk.clock import Clock
from chuk.credits.ledger import EntryKind, Resolved, UsageRecord
from chuk.credits.money import MicroEuro

_OPEN = """
SELECT json_group_array(json_array(id, hex(user_id), amount, is_free_message, lapses, operation,
    hex(api_key_id)))
FROM open_holds WHERE id IN"""
_ENTER = """
INSERT INTO ledger_entries
    (user_id, kind, reference, about, available_change, held_change, free_used_change, created_at)
"""
_KEEP_USAGE = """
INSERT INTO usage_logs
    (id, user_id, operation, model_id, provider_slug, prompt_tokens, completion_tokens,
     total_tokens, total_cost_usd, held, charged, is_free_message, outcome, basis, is_zdr,
     generation_id, tags, created_at, api_key_id)
"""
_FORGET = "DELETE FROM open_holds WHERE id IN"


class End(NamedTuple):
    """How a hold ends: at a cost, or released (None)."""

    hold_id: str
    cost: int | None
    usage: UsageRecord


class Ending:
    """`LedgerStore.settle` and `release`, for many holds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(
        self, connection: sqlite3.Connection, ends: Sequence[End]
    ) -> list[Resolved | Exception]:
        """Answer each end with how the hold was resolved."""
        now = microseconds(self._clock())
        holds = {
            hold_id: figures
            for hold_id, *figures in select_lists(connection, _OPEN, [end.hold_id for end in ends])
        }
        resolved: dict[str, Resolved] = {}
        answers: list[Resolved | Exception] = []
        entered: list[tuple[Any, ...]] = []
        used: list[tuple[Any, ...]] = []
        for end in ends:
            before = resolved.get(end.hold_id)
            if before is not None:
                answers.append(before)
            elif end.hold_id not in holds:
                answers.append(_resolved_before(connection, end.hold_id))
            else:
                charged = _write_down(end, holds[end.hold_id], now, entered, used)
                answers.append(Resolved(charged, is_new=True))
                resolved[end.hold_id] = Resolved(charged, is_new=False)
        insert_rows(connection, _ENTER, entered)
        insert_rows(connection, _KEEP_USAGE, used)
        delete_rows(connection, _FORGET, list(resolved))
        return answers


def _write_down(
    end: End,
    hold: list[Any],
    now: int,
    entered: list[tuple[Any, ...]],
    used: list[tuple[Any, ...]],
) -> MicroEuro:
    """Add the rows of one end; return what it charges."""
    hex_user, amount, is_free, lapses, operation, hex_api_key = hold
    hold_id, cost, usage = end
    user_id = bytes.fromhex(hex_user)
    kind = "release" if cost is None else "settle"
    charged = 0 if is_free or cost is None else cost
    rest = amount - charged
    free_back = -1 if is_free and cost is None else 0
    entered.append((user_id, kind, f"{kind}:{hold_id}", hold_id, rest, -amount, free_back, now))
    if lapses and rest > 0:
        entered.append((user_id, "lapse", f"lapse:hold:{hold_id}", hold_id, -rest, 0, 0, now))
    used.append(
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
            bytes.fromhex(hex_api_key) or None,
        )
    )
    return MicroEuro(charged)


def _resolved_before(connection: sqlite3.Connection, hold_id: str) -> Resolved | LookupError:
    for kind in (EntryKind.SETTLE, EntryKind.RELEASE):
        found = entries.find(connection, kind, hold_id)
        if found is not None:
            charged = MicroEuro(-found.held_change - found.available_change)
            return Resolved(charged, is_new=False)
    return LookupError(hold_id)
