"""A door before a service: through it everything passes, or nothing, or nothing ever arrives."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_READ = 65_536


class Door:
    """Passes connections on to a service, until it is shut or stuck.

    Attributes:
        address: `http://host:port`, what to use as the service's.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None and parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._path = parts.path
        self._passing = asyncio.Event()
        self._passing.set()
        self._is_shut = False
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.address = ""

    def shut(self) -> None:
        """The service is gone: every connection breaks, and every new one."""
        self._is_shut = True
        self._break_all()

    def jam(self) -> None:
        """The service hangs: connections stay, and nothing passes either way."""
        self._passing.clear()

    def unlock(self) -> None:
        """All is well again; what hung has been given up by then."""
        self._is_shut = False
        if not self._passing.is_set():
            self._break_all()
            self._passing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}{self._path}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._break_all()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _break_all(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_shut:
            writer.transport.abort()
            return
        self._open.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            answers, requests = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            self._open.discard(writer)
            self._tasks.discard(task)
            return
        self._open.add(requests)
        try:
            with suppress(asyncio.CancelledError):
                await asyncio.gather(self._pass(reader, requests), self._pass(answers, writer))
        finally:
            for each in (writer, requests):
                each.transport.abort()
                self._open.discard(each)
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_READ):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
            writer.write_eof()
