"""A network between a browser and the server that can be cut at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.network.proxy import CuttingProxy


@dataclass(frozen=True)
class Line:
    """The way to the server.

    Attributes:
        url: where the browser finds it.
    """

    url: str
    proxy: CuttingProxy

    async def cut(self) -> None:
        """Break every connection there is; new ones get through."""
        await self.proxy.close()


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[Line]:
    """A line to the server at `url`."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    proxy = CuttingProxy(parts.hostname, parts.port, [])
    listening = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    try:
        yield Line(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", proxy)
    finally:
        listening.close()
        await proxy.close()
        await listening.wait_closed()
