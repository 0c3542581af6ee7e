"""What a request could cost, told before it is sent and without holding anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from chuk.clock import Clock, utc_now
from chuk.credits.estimate import Estimate
from chuk.credits.ledger import Purse
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore

_MOMENT = timedelta(seconds=1)  # so that what is written right now counts


@dataclass(frozen=True, slots=True)
class Quote:
    """What would happen to a request right now.

    Attributes:
        max_cost: with an answer of `max_tokens`; taken from nobody where a free message does.
        min_cost: of the prompt alone.
        max_tokens: how long the answer may become, after what can be afforded.
        is_affordable: whether the request would be sent at all.
        uses_free_message: whether a free message would stand in for credits.
    """

    max_cost: MicroEuro
    min_cost: MicroEuro
    prompt_tokens: int
    max_tokens: int
    is_affordable: bool
    uses_free_message: bool


class Quotes:
    """Answers by the rules by which holds are opened (`LedgerStore.open_hold`)."""

    def __init__(self, store: LedgerStore, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock

    async def of(self, user_id: UUID, estimate: Estimate, api_key_id: UUID | None = None) -> Quote:
        """What this request could cost this user, through this API key or without one.

        Raises:
            ServiceUnavailable: the books cannot be reached.
        """
        purse = await self._store.purse(user_id)
        tokens, is_free = estimate.max_tokens, False
        at_least = max(estimate.at_least, 1)  # an empty purse affords nothing, however cheap
        is_affordable = estimate.at_most == 0
        if not is_affordable:
            if purse.available >= at_least:
                left = await self._left(user_id, purse, api_key_id)
                is_affordable = left >= at_least
                if is_affordable:
                    tokens = estimate.affordable_tokens(left)
            else:
                is_affordable = is_free = purse.free_used < purse.free_total
        return Quote(
            max_cost=estimate.cost(tokens),
            min_cost=estimate.cost(0),
            prompt_tokens=estimate.prompt_tokens,
            max_tokens=tokens,
            is_affordable=is_affordable,
            uses_free_message=is_free,
        )

    async def _left(self, user_id: UUID, purse: Purse, api_key_id: UUID | None) -> MicroEuro:
        """The credits, or the room below the caps and the key's budget where that is less."""
        left = int(purse.available)
        if api_key_id is not None:
            budget_left = await self._store.key_budget_left(api_key_id)
            left = left if budget_left is None else min(left, budget_left)
        cap = await self._store.spending_cap(user_id)
        if cap.daily is None and cap.monthly is None:
            return MicroEuro(left)
        now = self._clock()
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        days = await self._store.usage_sums(user_id, "day", today.replace(day=1), now + _MOMENT)
        month = sum(day.charged for day in days)
        spent_today = sum(day.charged for day in days if day.key == today.date().isoformat())
        for limit, spent in ((cap.daily, spent_today), (cap.monthly, month)):
            if limit is not None:
                left = min(left, limit - spent - purse.held)
        return MicroEuro(left)
