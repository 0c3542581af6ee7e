"""The open chat connections: how many there are, and which of them read nothing any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self, cast

from chuk.logs import logger
from chuk.steps import in_steps


@dataclass(slots=True, eq=False)
class Connection:
    """One open stream to a client.

    `written` is kept by whoever writes: bytes handed to the transport so far. What the client
    has taken is that, less what the transport still holds.
    """

    transport: asyncio.Transport
    _others: set[Connection]
    written: int = 0
    _taken: int = -1
    _since: float = 0.0
    _ping: bytes = b""
    _ping_interval: float = 0.0
    _pinged_at: float = 0.0

    # By hand: a generator would stay with each open connection.

    def __enter__(self) -> Self:
        self._others.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._others.discard(self)

    def begin_pings(self, ping: bytes, interval: float) -> None:
        """Write this every `interval` seconds from now on; the answer's head must be written."""
        self._ping, self._ping_interval = ping, interval
        self._pinged_at = asyncio.get_running_loop().time()

    def end_pings(self) -> None:
        """Nothing is written any more but what others write."""
        self._ping = b""

    def ping(self, now: float) -> None:
        """Ping if it is time, unless the client has enough to read as it is."""
        if self._ping and now - self._pinged_at >= self._ping_interval:
            self._pinged_at = now
            if self.transport.get_write_buffer_size() == 0 and not self.transport.is_closing():
                self.written += len(self._ping)
                self.transport.write(self._ping)

    def stalled_for(self, now: float) -> float:
        """Seconds since the client last took anything while something waited for it."""
        waiting = self.transport.get_write_buffer_size()
        taken = self.written - waiting
        if waiting == 0 or taken > self._taken:
            self._taken, self._since = taken, now
        return now - self._since


class Connections:
    """Every open SSE answer and WebSocket of this process.

    Args:
        stall_timeout: seconds after which a client that takes nothing is cut. Its transport is
            aborted: a polite close would wait behind the bytes it does not read.
    """

    def __init__(self, stall_timeout: float) -> None:
        self._stall_timeout = stall_timeout
        self._open: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, transport: asyncio.BaseTransport | None) -> Connection:
        """Count a connection for as long as a `with` block over it runs.

        Raises:
            ConnectionResetError: the client is already gone.
        """
        if transport is None:
            raise ConnectionResetError
        # uvloop's transports are none of asyncio's classes.
        now = asyncio.get_running_loop().time()
        return Connection(cast(asyncio.Transport, transport), self._open, _since=now)

    async def tick(self, now: float) -> None:
        """Cut who has stalled for too long, ping the others; `now` is the event loop's time."""
        await in_steps(self._open, lambda connection: self._look_at(connection, now))

    def _look_at(self, connection: Connection, now: float) -> None:
        if connection.stalled_for(now) >= self._stall_timeout:
            waiting = connection.transport.get_write_buffer_size()
            logger("connections").warning("stalled client cut", waiting=waiting)
            connection.transport.abort()
        else:
            connection.ping(now)
