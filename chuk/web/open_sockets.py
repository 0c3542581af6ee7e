"""The open WebSockets: closed when they are idle, and when the server goes away."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiohttp import WSCloseCode

from chuk.steps import in_steps


class OpenSocket(Protocol):
    """What the registry asks of a socket."""

    def tick(self, now: float, idle_timeout: float) -> None: ...

    def close_soon(self, code: int) -> asyncio.Task[None]: ...


class OpenSockets:
    """Every open WebSocket of this process.

    Args:
        idle_timeout: seconds after which a socket without a turn is closed with 1000.
    """

    def __init__(self, idle_timeout: float) -> None:
        self._idle_timeout = idle_timeout
        self._open: set[OpenSocket] = set()

    def add(self, socket: OpenSocket) -> None:
        """List a socket."""
        self._open.add(socket)

    def discard(self, socket: OpenSocket) -> None:
        """Take a socket off the list."""
        self._open.discard(socket)

    async def tick(self, now: float) -> None:
        """Close who has been idle for too long; `now` is the event loop's time."""
        await in_steps(self._open, lambda socket: socket.tick(now, self._idle_timeout))

    async def close_all(self) -> None:
        """Tell everybody that the server goes away (1001)."""
        if self._open:
            await asyncio.wait([s.close_soon(WSCloseCode.GOING_AWAY) for s in self._open])
