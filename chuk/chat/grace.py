"""The time that a turn goes on for a client that has lost its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from chuk.chat.ports import Recording
from chuk.logs import log_failure

# Of the grace time: so late at most a turn learns that its last follower has left. A look may be a
# call to another machine.
_LOOKS = 4


class Grace:
    """Watches over one recorded turn from the moment when nobody listens to it directly.

    The grace time begins anew as long as somebody follows what is recorded. Times are the event
    loop's, in seconds.

    Args:
        seconds: 0: only a follower keeps the turn alive.
        is_followed: whether anybody follows the recording, in whichever process.
    """

    __slots__ = (
        "_is_followed",
        "_look_at",
        "_looking",
        "_recording",
        "_seconds",
        "_since",
        "_was_followed",
    )

    def __init__(
        self, recording: Recording, seconds: float, is_followed: Callable[[], Awaitable[bool]]
    ) -> None:
        self._recording = recording
        self._seconds = seconds
        self._is_followed = is_followed
        self._since: float | None = None
        self._look_at = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._was_followed = False

    def begin(self, now: float, give_up: Callable[[], object]) -> None:
        """Nobody listens directly from now on; calls `give_up` when nobody will come back."""
        if self._since is None:
            self._since = now
            self._look_at = now + self._seconds / _LOOKS
            if self._seconds == 0 or not self._recording.is_whole:
                self.tick(now, give_up)

    def tick(self, now: float, give_up: Callable[[], object]) -> None:
        """Look whether the time is over; asks for followers now and then."""
        if self._since is None:
            return
        if not self._recording.is_whole:
            # Who comes back would find nothing.
            give_up()
        elif now >= min(self._look_at, self._since + self._seconds) and (
            self._looking is None or self._looking.done()
        ):
            # A task of its own: the watch must not wait for another machine.
            self._looking = asyncio.create_task(self._look(now, give_up))

    def free(self, cut: Callable[[], object]) -> None:
        """Somebody who listens directly takes nothing: call `cut` if anybody waits behind them."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._free(cut))

    async def _free(self, cut: Callable[[], object]) -> None:
        try:
            if await self._is_followed():
                cut()
        except Exception as error:
            # They then wait until the client is cut for its own sake.
            log_failure("streams", error)

    async def _look(self, now: float, give_up: Callable[[], object]) -> None:
        try:
            followed = await self._is_followed()
        except Exception as error:
            # Without the store nobody can follow either.
            log_failure("streams", error)
            followed = False
        if followed or self._was_followed:
            # Whoever has left since the last look left at no other time that is known.
            self._since = now
        self._was_followed = followed
        self._look_at = now + self._seconds / _LOOKS
        assert self._since is not None
        if not followed and now - self._since >= self._seconds:
            give_up()
