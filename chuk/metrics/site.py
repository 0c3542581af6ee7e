"""The port that Prometheus asks: on this machine alone, never the one that clients use."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from aiohttp import hdrs, web
from prometheus_client.metrics_core import Metric

from chuk.metrics.collector import Collector, exposition
from chuk.settings import Metrics

METRICS = web.AppKey("metrics", Collector)

Read = Callable[[], Awaitable[Iterable[Metric]]]
_BACKLOG = 16
_SHUTDOWN_TIMEOUT = 1.0


class MetricsSite:
    """`GET /metrics`, and nothing else.

    Args:
        read: what is told.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._path: Path | None = None
        self._reserved: socket.socket | None = None
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._runner.addresses[0][1]
        return port

    def reserve_as(self, settings: Metrics) -> None:
        """Take the address that the settings say, where they say one, without answering yet.

        Raises:
            OSError: as `reserve`.
        """
        if settings.port:
            self.reserve(settings.host, settings.port)

    def reserve(self, host: str, port: int) -> None:
        """Take this address, so that nobody else can; 0 picks a free port.

        It can be had beside the server that is to be relieved. As long as this one does not answer
        there, the kernel gives that one all who ask: with both, counters would jump back and forth.

        Raises:
            OSError: it is in use by something else, or not an address of this machine.
        """
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
        except OSError as error:
            bound.close()
            problem = f"cannot listen on {host}:{port} for metrics: {error.strerror}"
            raise OSError(error.errno, problem) from None
        self._reserved = bound

    async def open(self) -> None:
        """Answer at the address that is reserved; where none is, not at all. Idempotent."""
        if self._reserved is None or self._runner.server is not None:
            return
        await self._runner.setup()
        await web.SockSite(self._runner, self._reserved, backlog=_BACKLOG).start()

    async def listen_at(self, path: Path) -> None:
        """Answer at a socket of this machine, for whoever owns the folder it lies in."""
        self._path = path
        await self._runner.setup()
        await web.UnixSite(self._runner, str(path), backlog=_BACKLOG).start()

    async def close(self) -> None:
        """Answer no more. Idempotent."""
        if self._runner.server is not None:
            await self._runner.cleanup()
        if self._reserved is not None:
            self._reserved.close()
        if self._path is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._path)

    async def _answer(self, request: web.Request) -> web.Response:
        accept = ",".join(request.headers.getall(hdrs.ACCEPT, ()))
        body, kind = await exposition(await self._read(), accept)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: kind})
