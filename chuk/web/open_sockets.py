"""The open WebSockets: counted by who holds them, closed when idle and when the server goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Protocol

from aiohttp import WSCloseCode

from chuk.errors import RateLimited
from chuk.steps import in_steps

_RETRY_AFTER = 5


class OpenSocket(Protocol):
    """What the registry asks of a socket."""

    def tick(self, now: float, idle_timeout: float) -> None: ...

    def close_soon(self, code: int) -> asyncio.Task[None]: ...


class OpenSockets:
    """Every open WebSocket of this process.

    A holder is a user, or the address of a socket whose client has not signed in yet.

    Args:
        idle_timeout: seconds after which a socket without a turn is closed with 1000.
        most: sockets that one holder may have open.
    """

    def __init__(self, idle_timeout: float, *, most: int) -> None:
        self._idle_timeout = idle_timeout
        self._most = most
        self._open: dict[OpenSocket, str] = {}
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def check(self, holder: str) -> None:
        """Whether one more may be opened.

        Raises:
            RateLimited: this holder has as many as anybody may have.
        """
        if self._held[holder] >= self._most:
            raise RateLimited(
                "Too many open connections.", retry_after=_RETRY_AFTER, limit=self._most
            )

    def add(self, socket: OpenSocket, holder: str) -> None:
        """List a socket."""
        self._open[socket] = holder
        self._held[holder] += 1

    def hand_over(self, socket: OpenSocket, holder: str) -> None:
        """Its client has signed in, as somebody else than before.

        Raises:
            RateLimited: they have as many as anybody may have; nothing changes.
        """
        before = self._open.get(socket)
        if before is None or before == holder:
            return
        self.check(holder)
        self._let_go(before)
        self.add(socket, holder)

    def discard(self, socket: OpenSocket) -> None:
        """Take a socket off the list."""
        holder = self._open.pop(socket, None)
        if holder is not None:
            self._let_go(holder)

    async def tick(self, now: float) -> None:
        """Close who has been idle for too long; `now` is the event loop's time."""
        await in_steps(self._open, lambda socket: socket.tick(now, self._idle_timeout))

    async def close_all(self) -> None:
        """Tell everybody that the server goes away (1001)."""
        if self._open:
            await asyncio.wait([s.close_soon(WSCloseCode.GOING_AWAY) for s in tuple(self._open)])

    def _let_go(self, holder: str) -> None:
        self._held[holder] -= 1
        if not self._held[holder]:
            # Whoever came once must not cost memory for ever.
            del self._held[holder]
