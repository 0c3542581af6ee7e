"""A network that loses, holds back and reorders what passes: a proxy between client and server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum

_READ = 65_536


class Loss(Enum):
    """What becomes of a connection that is cut."""

    BOTH = "both sides learn of it"
    CLIENT = "the server still takes the connection for alive"
    LATE = "the client's request arrives after that of its next connection"


@dataclass(frozen=True, slots=True)
class Cut:
    """The client's connection is reset after this many bytes of the answer."""

    after: int
    loss: Loss


class CuttingProxy:
    """Passes connections on; each takes the next cut of its script, later ones are left whole."""

    def __init__(self, host: str, port: int, cuts: Sequence[Cut]) -> None:
        self._target = (host, port)
        self._cuts = deque(cuts)
        self._unnoticed: list[asyncio.StreamWriter] = []
        self._late: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End every connection, those that the server takes for alive too."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._unnoticed:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = self._cuts.popleft() if self._cuts else None
        if cut is not None and cut.loss is Loss.LATE:
            with suppress(ConnectionError):
                self._late.append(await _request(reader))
            writer.transport.abort()
            return
        answers, requests = await asyncio.open_connection(*self._target)
        sending = asyncio.create_task(_pass_on(reader, requests))
        try:
            await self._answer(answers, writer, cut)
        finally:
            sending.cancel()
            writer.transport.abort()
            if cut is not None and cut.loss is Loss.CLIENT:
                self._unnoticed.append(requests)
            else:
                requests.transport.abort()

    async def _answer(
        self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: Cut | None
    ) -> None:
        """Hand the answer on, up to the cut."""
        left = None if cut is None else cut.after
        with suppress(ConnectionError):
            while left != 0 and (data := await answers.read(_READ)):
                await self._deliver_late()
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                writer.write(data)
                await writer.drain()
            if left == 0:
                # What was written is to arrive before the connection breaks.
                writer.write_eof()

    async def _deliver_late(self) -> None:
        """Now that a later request is being answered, the earlier ones arrive."""
        while self._late:
            answers, requests = await asyncio.open_connection(*self._target)
            self._unnoticed.append(requests)
            requests.write(self._late.pop())
            await requests.drain()
            # The server has it, and has begun with it.
            with suppress(ConnectionError):
                await answers.read(1)


@asynccontextmanager
async def cutting_proxy(url: str, cuts: Sequence[Cut]) -> AsyncIterator[str]:
    """A proxy before this server, with this script; yields its own URL."""
    host, _, port = url.removeprefix("http://").partition(":")
    proxy = CuttingProxy(host, int(port), cuts)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()


async def _request(reader: asyncio.StreamReader) -> bytes:
    """One whole HTTP request with a length, as it came."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + await reader.readexactly(length)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()
