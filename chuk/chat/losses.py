"""What failed attempts cost: upstream may charge for one, but no user pays for it.

Whoever runs the server bears it, and so has to know of it: it is asked for, logged and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

from chuk.credits.ports import GenerationCosts
from chuk.errors import ChukError
from chuk.logs import log_failure, logger

_WAITS = (5.0, 30.0, 120.0)  # seconds before each question; upstream's books take their time
_MOST_QUESTIONS = 256

_log = logger("routing")


class Losses:
    """Asks upstream's books about attempts that failed before their first word.

    Args:
        costs: upstream's own books, where it has some.
        sleep: how a question waits.

    Attributes:
        count: attempts that upstream charged for.
        usd: what it charged for them together, in US dollars.
        unknown: attempts of which it could not be learnt.
    """

    def __init__(
        self,
        costs: GenerationCosts | None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.count = 0
        self.usd = Decimal(0)
        self.unknown = 0
        self._costs = costs
        self._sleep = sleep
        self._questions: set[asyncio.Task[None]] = set()

    def note(self, generation_id: str | None, cost_usd: Decimal | None) -> None:
        """An attempt failed: its cost, where upstream named it, else its name at upstream."""
        if cost_usd is not None:
            self._add(generation_id, cost_usd)
        elif generation_id is None or self._costs is None:
            # Upstream never took it up, or has no books.
            return
        elif len(self._questions) >= _MOST_QUESTIONS:
            self._miss(generation_id)
        else:
            question = asyncio.create_task(
                self._ask(self._costs, generation_id), name=f"cost of {generation_id}"
            )
            self._questions.add(question)
            question.add_done_callback(self._questions.discard)

    async def close(self) -> None:
        """Ask no further."""
        questions = tuple(self._questions)
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)

    async def _ask(self, costs: GenerationCosts, generation_id: str) -> None:
        try:
            for wait in _WAITS:
                await self._sleep(wait)
                try:
                    cost = await costs.cost_of(generation_id)
                except ChukError as error:
                    _log.info("cost_not_known_yet", generation=generation_id, error=error.code)
                    continue
                if cost is not None:
                    self._add(generation_id, cost.cost_usd)
                    return
        except Exception as error:
            log_failure("routing", error, generation=generation_id)
        self._miss(generation_id)

    def _add(self, generation_id: str | None, usd: Decimal) -> None:
        if usd:
            self.count += 1
            self.usd += usd
            _log.warning("failed_attempt_charged", generation=generation_id, usd=str(usd))

    def _miss(self, generation_id: str) -> None:
        self.unknown += 1
        _log.warning("failed_attempt_unknown", generation=generation_id)
