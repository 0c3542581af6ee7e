"""Reading usage rows: receipts, and sums of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import orjson

from chuk.adapters.sqlite.moments import DAY, microseconds, moment
from chuk.credits.ledger import Basis, Operation, Outcome, Receipt, UsageRecord, UsageSum
from chuk.credits.money import MicroEuro

_COLUMNS = """
SELECT id, created_at, operation, held, charged, is_free_message, model_id, provider_slug,
    prompt_tokens, completion_tokens, total_tokens, total_cost_usd, outcome, basis, is_zdr,
    generation_id, tags, api_key_id
FROM usage_logs
"""
_NEWEST = f"{_COLUMNS} WHERE user_id = ? ORDER BY created_at DESC, id DESC LIMIT ?"
_OLDER = (
    f"{_COLUMNS} WHERE user_id = ? AND (created_at, id) < (?, ?)"
    " ORDER BY created_at DESC, id DESC LIMIT ?"
)
_UNKNOWN = f"{_COLUMNS} WHERE basis = 'unknown' ORDER BY created_at DESC, id DESC LIMIT ?"

_SUMS = """
    count(*), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens), sum(charged)
FROM usage_logs WHERE user_id = ? AND created_at >= ? AND created_at < ?
"""
_BY_DAY = f"SELECT created_at / {DAY} AS day, {_SUMS} GROUP BY day ORDER BY day DESC"
_BY_MODEL = (
    f"SELECT model_id, {_SUMS} GROUP BY model_id ORDER BY sum(charged) DESC, count(*) DESC,"
    " model_id"
)


def receipts(
    connection: sqlite3.Connection, user_id: UUID, before: tuple[datetime, str] | None, limit: int
) -> Sequence[Receipt]:
    """`LedgerStore.receipts`."""
    if before is None:
        rows = connection.execute(_NEWEST, (user_id.bytes, limit))
    else:
        created_at, hold_id = before
        rows = connection.execute(_OLDER, (user_id.bytes, microseconds(created_at), hold_id, limit))
    return [_receipt(row) for row in rows.fetchall()]


def unknown_costs(connection: sqlite3.Connection, limit: int) -> Sequence[Receipt]:
    """`LedgerStore.unknown_costs`."""
    return [_receipt(row) for row in connection.execute(_UNKNOWN, (limit,)).fetchall()]


def usage_sums(
    connection: sqlite3.Connection,
    user_id: UUID,
    by: Literal["day", "model"],
    since: datetime,
    until: datetime,
) -> Sequence[UsageSum]:
    """`LedgerStore.usage_sums`."""
    rows = connection.execute(
        _BY_DAY if by == "day" else _BY_MODEL,
        (user_id.bytes, microseconds(since), microseconds(until)),
    )
    return [
        UsageSum(
            key=moment(key * DAY).date().isoformat() if by == "day" else key,
            requests=requests,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=total_tokens,
            charged=MicroEuro(charged),
        )
        for key, requests, prompt_tokens, completion_tokens, total_tokens, charged in rows
    ]


def _receipt(row: tuple[Any, ...]) -> Receipt:
    (
        hold_id,
        created_at,
        operation,
        held,
        charged,
        is_free_message,
        model_id,
        provider_slug,
        prompt_tokens,
        completion_tokens,
        total_tokens,
        cost_usd,
        outcome,
        basis,
        is_zdr,
        generation_id,
        tags,
        api_key_id,
    ) = row
    return Receipt(
        id=hold_id,
        created_at=moment(created_at),
        operation=Operation(operation),
        held=MicroEuro(held),
        charged=MicroEuro(charged),
        is_free_message=bool(is_free_message),
        api_key_id=None if api_key_id is None else UUID(bytes=api_key_id),
        usage=UsageRecord(
            model_id=model_id,
            provider_slug=provider_slug,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=total_tokens,
            cost_usd=Decimal(cost_usd),
            outcome=Outcome(outcome),
            basis=Basis(basis),
            is_zdr=bool(is_zdr),
            generation_id=generation_id,
            tags={} if tags is None else orjson.loads(tags),
        ),
    )
