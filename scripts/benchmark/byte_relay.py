"""The limit: a relay that copies bytes between two sockets and understands nothing.

Run as a program: `python -m benchmark.byte_relay PORT UPSTREAM_PORT`. It keeps connections alive
on both sides, so it looks for where an answer ends; that is all the HTTP it knows.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

import uvloop

_CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Upstream(asyncio.Protocol):
    """A connection to the upstream, lent to one client at a time."""

    def __init__(self, pool: list[Upstream]) -> None:
        self._pool = pool
        self.client: Client | None = None
        # Bytes of the answer still to come; None before its head, -1 when it is chunked.
        self._left: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        client = self.client
        if client is None:
            self.transport.abort()
            return
        client.transport.write(data)
        if self._left is None:
            head, _, body = data.partition(b"\r\n\r\n")
            length = _CONTENT_LENGTH.search(head)
            self._left = int(length[1]) - len(body) if length else -1
        elif self._left > 0:
            self._left -= len(data)
        if self._left == 0 or (self._left == -1 and data.endswith(b"0\r\n\r\n")):
            self._left = self.client = client.upstream = None
            self._pool.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            self.client.transport.abort()
        elif self in self._pool:
            self._pool.remove(self)

    def pause_writing(self) -> None:
        if self.client is not None:
            self.client.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.client is not None:
            self.client.transport.resume_reading()


class Client(asyncio.Protocol):
    """A client's connection; between answers it holds no upstream."""

    def __init__(self, pool: list[Upstream], upstream_port: int) -> None:
        self._pool = pool
        self._upstream_port = upstream_port
        self.upstream: Upstream | None = None
        self._waiting: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.upstream is None and self._pool:
            self.upstream = self._pool.pop()
            self.upstream.client = self
        if self.upstream is not None:
            self.upstream.transport.write(data)
            return
        self._waiting.append(data)
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        _, upstream = await asyncio.get_running_loop().create_connection(
            lambda: Upstream(self._pool), "127.0.0.1", self._upstream_port
        )
        upstream.client, self.upstream = self, upstream
        upstream.transport.writelines(self._waiting)
        self._waiting, self._connecting = [], None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        if self.upstream is not None:
            self.upstream.client = None
            self.upstream.transport.abort()

    def pause_writing(self) -> None:
        if self.upstream is not None:
            self.upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.upstream is not None:
            self.upstream.transport.resume_reading()


async def serve(port: int, upstream_port: int) -> None:
    """Relay until the process is ended."""
    pool: list[Upstream] = []
    server = await asyncio.get_running_loop().create_server(
        lambda: Client(pool, upstream_port), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
