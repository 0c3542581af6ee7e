"""One task that looks at everything that may not be silent, stalled or idle for too long.

A timer for each stream would cost more than the streams' own work; one look a second at all of
them costs milliseconds, in steps (`chuk.steps`) that let the streams through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from chuk.logs import log_failure

Tick = Callable[[float], Awaitable[None] | None]


class Watch:
    """Calls each tick with the event loop's time, every `interval` seconds."""

    def __init__(self, ticks: Sequence[Tick], interval: float) -> None:
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
            await asyncio.sleep(self._interval)
            for tick in self._ticks:
                try:
                    if (looking := tick(loop.time())) is not None:
                        await looking
                except Exception as error:
                    # One broken look must not blind the others.
                    log_failure("watch", error)
