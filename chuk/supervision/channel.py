"""What the supervisor and a worker say to each other, as lines of JSON over a pair of sockets.

    supervisor: {"accept": [door, …]}  the doors to take connections from, and no others
                {"guide": address}     print how to try the server
                {"end": "retire"}      others take over: finish what runs, then leave
                {"end": "drain"}       the whole server ends
                {"end": "hurry"}       now
    worker:     {"ready": true}        it takes connections from its own door
                {"leaving": true}      somebody asked it to end
                {"problem", "code"}    why it cannot serve, in words for the operator

When one side is gone the other one's stream ends.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any


class Channel:
    """One end of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """Speak over this end of a pair."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def tell(self, **message: object) -> None:
        """Say something; nobody hears it when the other side is gone."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def told(self, **message: object) -> None:
        """Say something, and wait until it is sent."""
        self.tell(**message)
        try:
            await self._writer.drain()
        except ConnectionError:
            # Its stream ends too, which is where that is looked for.
            return

    async def heard(self) -> dict[str, Any] | None:
        """The next message; None when the other side is gone."""
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        message: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
        return message

    def close(self) -> None:
        """Say no more. Idempotent."""
        self._writer.close()
