"""Opening holds, as many at once as wait for it. Every turn pays for this: few statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chuk.adapters.sqlite.moments import begin_of, microseconds
from chuk.adapters.sqlite.purses import is_locked, make_purse
from chuk.adapters.sqlite.statements import insert_rows, select_lists
from chuk.clock import Clock
from chuk.credits.ledger import Hold, HoldRequest
from chuk.credits.money import MicroEuro, euros
from chuk.errors import (
    ChukError,
    Forbidden,
    InsufficientCredits,
    InvalidToken,
    QuotaExceeded,
)

_PURSES = """
SELECT json_group_array(json_array(lower(hex(user_id)), available, held, free_total - free_used,
    daily_cap, monthly_cap, user_id IN (SELECT user_id FROM deletions)))
FROM purses WHERE user_id IN"""
_ENTERED = """
SELECT json_group_array(json_array(about, lower(hex(user_id)), held_change, free_used_change))
FROM ledger_entries WHERE reference IN"""
_ENTER = """
INSERT INTO ledger_entries
    (user_id, kind, reference, about, available_change, held_change, free_used_change, created_at)
"""
_KEEP = """
INSERT INTO open_holds
    (id, user_id, amount, is_free_message, operation, model_id, provider_slug,
     owner, lease_until, opened_at, api_key_id)
"""
# What was settled through the key this month, and what is on hold; nobody asks without a budget.
_API_KEY = """
SELECT monthly_budget, CASE WHEN monthly_budget IS NOT NULL THEN
    (SELECT coalesce(sum(charged), 0) FROM usage_logs WHERE api_key_id = ?1 AND created_at >= ?2)
    + (SELECT coalesce(sum(amount), 0) FROM open_holds WHERE api_key_id = ?1)
END
FROM api_keys WHERE id = ?1 AND user_id = coalesce(?3, user_id)
"""
_SPENT = "SELECT coalesce(sum(charged), 0) FROM usage_logs WHERE user_id = ? AND created_at >= ?"


@dataclass(slots=True)
class _Purse:
    """A purse as the holds before this one have left it."""

    available: int
    held: int
    free_left: int
    daily_cap: int | None
    monthly_cap: int | None
    is_locked: bool
    is_new: bool = False


@dataclass(slots=True)
class _ApiKey:
    """The budget of a key, and what of it the holds before this one have left spent."""

    id: UUID
    budget: int | None
    spent: int


class Opening:
    """`LedgerStore.open_hold` for many requests, one after the other.

    Everything is looked up before, decided on here, and written after: a refusal changes nothing.
    """

    def __init__(self, free_messages: int, clock: Clock) -> None:
        self._free_messages = free_messages
        self._clock = clock

    def __call__(
        self, connection: sqlite3.Connection, requests: Sequence[HoldRequest]
    ) -> list[Hold | Exception]:
        """Answer each request with its hold, or with the reason why there is none."""
        now = microseconds(self._clock())
        purses = self._purses(connection, requests)
        holds = _holds_entered(connection, requests)
        keys = _ApiKeys(connection, now)
        new: list[tuple[HoldRequest, Hold]] = []
        answers: list[Hold | Exception] = []
        for request in requests:
            purse = purses[request.user_id]
            try:
                hold = _repeated(holds.get(request.id), purse)
                if hold is None:
                    hold = _set_aside(connection, request, purse, keys.of(request), now)
                    holds[request.id] = hold
                    new.append((request, hold))
                answers.append(hold)
            except ChukError as refusal:
                answers.append(refusal)
        if new:
            for user_id in {request.user_id for request, _ in new}:
                if purses[user_id].is_new:
                    make_purse(connection, user_id, self._free_messages)
            _write(connection, new, now)
        return answers

    def _purses(
        self, connection: sqlite3.Connection, requests: Sequence[HoldRequest]
    ) -> dict[UUID, _Purse]:
        users = {request.user_id.hex: request.user_id for request in requests}
        found = {
            users[user]: _Purse(*figures)
            for user, *figures in select_lists(
                connection, _PURSES, [user_id.bytes for user_id in users.values()]
            )
        }
        for user_id in users.values():
            if user_id not in found:
                locked = is_locked(connection, user_id)
                found[user_id] = _Purse(
                    0, 0, self._free_messages, None, None, is_locked=locked, is_new=True
                )
        return found


class _ApiKeys:
    """The keys that these requests came through, each looked up once."""

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._connection = connection
        self._now = now
        self._known: dict[UUID, _ApiKey] = {}

    def of(self, request: HoldRequest) -> _ApiKey | None:
        """The request's key; None where it came through none.

        Raises:
            InvalidToken: the key is not there any more.
        """
        key_id = request.api_key_id
        if key_id is None:
            return None
        if key_id not in self._known:
            month = begin_of("month", self._now)
            row = self._connection.execute(
                _API_KEY, (key_id.bytes, month, request.user_id.bytes)
            ).fetchone()
            if row is None:
                raise InvalidToken("This API key is not valid any more.")
            self._known[key_id] = _ApiKey(key_id, row[0], row[1] or 0)
        return self._known[key_id]


def key_budget_left(connection: sqlite3.Connection, key_id: UUID, clock: Clock) -> MicroEuro | None:
    """`LedgerStore.key_budget_left`."""
    month = begin_of("month", microseconds(clock()))
    row = connection.execute(_API_KEY, (key_id.bytes, month, None)).fetchone()
    if row is None:
        return MicroEuro(0)
    budget, spent = row
    return None if budget is None else MicroEuro(budget - spent)


def _holds_entered(
    connection: sqlite3.Connection, requests: Sequence[HoldRequest]
) -> dict[str, Hold]:
    references = [f"hold:{request.id}" for request in requests]
    return {
        hold_id: Hold(hold_id, UUID(hex=user), MicroEuro(amount), bool(is_free))
        for hold_id, user, amount, is_free in select_lists(connection, _ENTERED, references)
    }


def _repeated(hold: Hold | None, purse: _Purse) -> Hold | None:
    if purse.is_locked:
        raise Forbidden
    return hold


def _set_aside(
    connection: sqlite3.Connection,
    request: HoldRequest,
    purse: _Purse,
    key: _ApiKey | None,
    now: int,
) -> Hold:
    """Decide how much to hold, and take it out of the purse in hand."""
    amount, is_free = _affordable(connection, request, purse, key, now)
    if key is not None:
        key.spent += amount
    purse.available -= amount
    purse.held += amount
    purse.free_left -= is_free
    return Hold(request.id, request.user_id, MicroEuro(amount), is_free)


def _affordable(
    connection: sqlite3.Connection,
    request: HoldRequest,
    purse: _Purse,
    key: _ApiKey | None,
    now: int,
) -> tuple[int, bool]:
    """How much to hold, and whether a free message is held instead."""
    if request.at_most <= 0:
        return 0, False
    # Something, at the least: an empty purse affords nothing, however cheap it is.
    at_least = max(1, request.at_least)
    if purse.available < at_least:
        if request.allows_free_message and purse.free_left > 0:
            return 0, True
        raise InsufficientCredits(
            required=euros(MicroEuro(at_least)),
            available=euros(MicroEuro(max(0, purse.available))),
            operation=request.operation.value,
        )
    amount = min(request.at_most, purse.available)
    if key is not None and key.budget is not None:
        if key.budget - key.spent < at_least:
            raise QuotaExceeded(
                period="month",
                cap=euros(MicroEuro(key.budget)),
                spent=euros(MicroEuro(key.spent)),
                api_key_id=str(key.id),
            )
        amount = min(amount, key.budget - key.spent)
    for period, cap in (("day", purse.daily_cap), ("month", purse.monthly_cap)):
        if cap is None:
            continue
        spent = purse.held + _spent(connection, request.user_id, period, now)
        if cap - spent < at_least:
            raise QuotaExceeded(
                period=period, cap=euros(MicroEuro(cap)), spent=euros(MicroEuro(spent))
            )
        amount = min(amount, cap - spent)
    return amount, False


def _spent(connection: sqlite3.Connection, user_id: UUID, period: str, now: int) -> int:
    """What was settled since the UTC day or month began."""
    begin = begin_of(period, now)
    spent: int = connection.execute(_SPENT, (user_id.bytes, begin)).fetchone()[0]
    return spent


def _write(
    connection: sqlite3.Connection, new: Sequence[tuple[HoldRequest, Hold]], now: int
) -> None:
    insert_rows(
        connection,
        _ENTER,
        [
            (
                request.user_id.bytes,
                "hold",
                f"hold:{request.id}",
                request.id,
                -hold.amount,
                hold.amount,
                int(hold.is_free_message),
                now,
            )
            for request, hold in new
        ],
    )
    insert_rows(
        connection,
        _KEEP,
        [
            (
                request.id,
                request.user_id.bytes,
                hold.amount,
                int(hold.is_free_message),
                request.operation.value,
                request.model_id,
                request.provider_slug,
                request.owner,
                microseconds(request.lease_until),
                now,
                None if request.api_key_id is None else request.api_key_id.bytes,
            )
            for request, hold in new
        ],
    )
