"""What a user's credits went for: one receipt for each piece of work, and sums of them."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from chuk.clock import Clock, iso_z, utc_now
from chuk.credits.ledger import Receipt, UsageSum
from chuk.credits.money import euros
from chuk.credits.ports import LedgerStore
from chuk.errors import InvalidRequest

USUAL_SPAN = timedelta(days=30)
"""How far back sums go when nobody says."""

_LONGEST_CURSOR = 400


@dataclass(frozen=True, slots=True)
class Page:
    """Receipts, newest first; `next_cursor` asks for the older ones, None: there are none."""

    receipts: tuple[Receipt, ...]
    next_cursor: str | None


class Receipts:
    """Reads the usage of one user."""

    def __init__(self, store: LedgerStore, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock

    async def page(
        self,
        user_id: UUID,
        *,
        limit: int,
        cursor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page:
        """Receipts from `since` on and before `until`, newest first.

        Raises:
            InvalidRequest: the cursor is none of ours.
            ServiceUnavailable: the books cannot be reached.
        """
        before = (until, "") if until is not None else None
        if cursor is not None:
            # Whoever turns pages is already below `until`.
            before = _position(cursor)
        found = await self._store.receipts(user_id, before=before, limit=limit + 1)
        shown = [each for each in found[:limit] if since is None or each.created_at >= since]
        is_more = len(found) > limit and len(shown) == limit
        return Page(tuple(shown), _cursor(shown[-1]) if is_more else None)

    async def sums(
        self,
        user_id: UUID,
        by: Literal["day", "model"],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[UsageSum]:
        """Usage from `since` on (else 30 days) and before `until` (else now)."""
        # What is written in this very moment counts.
        until = until or self._clock() + timedelta(seconds=1)
        return await self._store.usage_sums(user_id, by, since or until - USUAL_SPAN, until)


def receipt_object(receipt: Receipt) -> dict[str, Any]:
    """A receipt on the wire; amounts are euros, but for `cost_usd`."""
    usage = receipt.usage
    return {
        "id": receipt.id,
        "created_at": iso_z(receipt.created_at),
        "operation": receipt.operation.value,
        "model": usage.model_id,
        "provider": usage.provider_slug,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "held_eur": euros(receipt.held),
        "charged_eur": euros(receipt.charged),
        "cost_usd": float(usage.cost_usd),
        "basis": usage.basis.value,
        "outcome": usage.outcome.value,
        "free_message": receipt.is_free_message,
        "zdr": usage.is_zdr,
        "tags": dict(usage.tags),
        "api_key_id": None if receipt.api_key_id is None else str(receipt.api_key_id),
    }


def sum_object(total: UsageSum) -> dict[str, Any]:
    """A sum on the wire; `key` is the day or the model."""
    return {
        "key": total.key,
        "requests": total.requests,
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "total_tokens": total.total_tokens,
        "charged_eur": euros(total.charged),
    }


def _cursor(receipt: Receipt) -> str:
    position = f"{receipt.created_at.astimezone(UTC).isoformat()} {receipt.id}"
    return urlsafe_b64encode(position.encode()).decode().rstrip("=")


def _position(cursor: str) -> tuple[datetime, str]:
    try:
        if len(cursor) > _LONGEST_CURSOR:
            raise ValueError
        padded = cursor + "=" * (-len(cursor) % 4)
        moment, _, identity = urlsafe_b64decode(padded.encode("ascii")).decode().partition(" ")
        # Postgres takes no NUL in a text.
        if not identity or "\0" in identity:
            raise ValueError
        return datetime.fromisoformat(moment).astimezone(UTC), identity
    except (ValueError, OverflowError):
        raise InvalidRequest.field("cursor", "Take it from the page before.") from None
