"""Where one process takes connections in, for as long as it does."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from aiohttp import web

from chuk.listening import BACKLOG


class Entrance:
    """The doors at which this process takes connections in.

    Args:
        doors: all there are. What is set open here is a copy, so that they can be left again.
        local: this server's own one, on this machine; see `chuk.listening.local_socket`.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        doors: Sequence[socket.socket],
        ssl_context: ssl.SSLContext | None,
        local: socket.socket | None = None,
    ) -> None:
        self._runner = runner
        self._doors = doors
        self._ssl_context = ssl_context
        self._local = local
        self._sites: dict[int, web.BaseSite] = {}
        self._local_site: web.BaseSite | None = None
        self._is_closed = False

    async def take_from(self, wanted: set[int]) -> None:
        """Take connections from these doors, by their numbers, and from no others."""
        if self._is_closed:
            return
        if self._local is not None and self._local_site is None:
            self._local_site = await self._open(self._local, None)
        for number in wanted - self._sites.keys():
            self._sites[number] = await self._open(self._doors[number], self._ssl_context)
        for number in self._sites.keys() - wanted:
            await self._sites.pop(number).stop()

    async def close(self) -> None:
        """Never take another one. Once nobody has them open, whoever connects is refused at once.

        Idempotent.
        """
        await self.take_from(set())
        self._is_closed = True
        if self._local_site is not None:
            await self._local_site.stop()
            self._local_site = None
        for door in self._doors:
            door.close()
        if self._local is not None:
            self._local.close()

    async def _open(self, door: socket.socket, ssl_context: ssl.SSLContext | None) -> web.BaseSite:
        site: web.BaseSite
        if door.family == socket.AF_UNIX:
            site = _UnixSite(self._runner, door.dup())
        else:
            site = web.SockSite(self._runner, door.dup(), backlog=BACKLOG, ssl_context=ssl_context)
        await site.start()
        return site


class _UnixSite(web.BaseSite):
    """aiohttp's own one makes the socket itself."""

    def __init__(self, runner: web.AppRunner, bound: socket.socket) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._bound = bound

    @property
    def name(self) -> str:
        """Where it listens."""
        return f"unix:{self._bound.getsockname()}"

    async def start(self) -> None:
        """Begin to take connections."""
        await super().start()
        server = self._runner.server
        assert server is not None
        self._server = await asyncio.get_running_loop().create_unix_server(
            server, sock=self._bound, backlog=self._backlog
        )
