"""One task that looks at everything that may not be silent, stalled or idle for too long.

A timer for each stream would cost more than the streams' own work; one look a second at all of
them costs milliseconds, in steps (`chuk.steps`) that let the streams through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from chuk.counts import Spread
from chuk.logs import log_failure

# Seconds by which the event loop comes too late to what it has to do.
_LAG_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

Tick = Callable[[float], Awaitable[None] | None]


class Watch:
    """Calls each tick with the event loop's time, every `interval` seconds.

    Attributes:
        lag: seconds by which it was called too late itself, as everything else is then.
    """

    def __init__(self, ticks: Sequence[Tick], interval: float) -> None:
        self.lag = Spread(_LAG_BOUNDS)
        self._ticks = tuple(ticks)
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._task = asyncio.create_task(self._run(), name="watch")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._interval
            await asyncio.sleep(self._interval)
            self.lag.note(max(0.0, loop.time() - due))
            for tick in self._ticks:
                try:
                    if (looking := tick(loop.time())) is not None:
                        await looking
                except Exception as error:
                    # One broken look must not blind the others.
                    log_failure("watch", error)
