"""Many connections at once, as cheaply as one process can hold them: bytes in, and little else.

What arrives is kept and counted at the end; the tokens of the paced upstream carry marks that
nothing else does.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import Sequence

_TOKEN = re.compile(rb"@\d+@")
_DONE = (b"[DONE]", b'"done":true', b'"error"')


class Connection(asyncio.Protocol):
    """One client's end.

    Attributes:
        received: all that came since `forget`.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.is_lost = False
        self._transport: asyncio.Transport | None = None
        self._wanted: tuple[bytes, ...] = ()
        self._found: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.received += data
        # A mark may have come in two pieces.
        tail = self.received[-len(data) - 16 :]
        found = self._found
        if found is not None and not found.done() and any(m in tail for m in self._wanted):
            found.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._found is not None and not self._found.done():
            self._found.set_exception(ConnectionResetError("lost before its end"))

    def forget(self) -> None:
        """What came so far is old."""
        self.received.clear()

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    async def until(self, *marks: bytes) -> None:
        """Wait until one of these has come.

        Raises:
            ConnectionResetError: the connection was lost before.
        """
        if any(mark in self.received for mark in marks):
            return
        if self.is_lost:
            raise ConnectionResetError("lost before its end")
        self._wanted, self._found = marks, asyncio.get_running_loop().create_future()
        await self._found

    async def ended(self) -> None:
        """Wait for the end of a turn."""
        await self.until(*_DONE)

    @property
    def tokens(self) -> int:
        """How many of the paced upstream's tokens came."""
        return len(_TOKEN.findall(self.received))

    @property
    def ends(self) -> int:
        """How many ends of turns came; an error counts as one."""
        return sum(self.received.count(mark) for mark in _DONE)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def connect(port: int, count: int) -> list[Connection]:
    """So many connections to a port of the loopback address, a few dozen at a time."""
    loop = asyncio.get_running_loop()
    made: list[Connection] = []
    while len(made) < count:
        some = min(64, count - len(made))
        pairs = await asyncio.gather(
            *(loop.create_connection(Connection, "127.0.0.1", port) for _ in range(some))
        )
        made += [protocol for _, protocol in pairs]
    return made


async def upgrade(connections: Sequence[Connection], request: bytes) -> None:
    """Turn all of them into WebSockets."""
    for at in range(0, len(connections), 128):
        some = connections[at : at + 128]
        for each in some:
            each.send(request)
        await asyncio.gather(*(each.until(b"101 Switching") for each in some))
        for each in some:
            each.forget()


def text_frame(document: object) -> bytes:
    """One WebSocket text frame of a client, masked with zeros."""
    payload = json.dumps(document).encode()
    if len(payload) < 126:
        head = bytes([0x81, 0x80 | len(payload)])
    else:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, len(payload))
    return head + b"\0\0\0\0" + payload
