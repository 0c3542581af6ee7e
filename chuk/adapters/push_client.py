"""An HTTP client for streamed answers that pushes each read on to whoever takes it.

Between the socket and the reader of an answer stand no buffer, no future and no task: what the
kernel delivers is parsed and taken within the same callback. That is what makes relaying a token
cheap; aiohttp's client, which serves every other call, costs a third of a turn here.

It speaks what model servers speak: POST over HTTP/1.1, with or without TLS, over kept-alive
connections. No redirects, no cookies, no proxies.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import aiohappyeyeballs

from chuk.adapters.push_exchange import Exchange, PushConnection

# How long the other of a host's addresses waits for the first one (RFC 8305 §8).
_HAPPY_EYEBALLS = 0.25
_NAMES_KEPT = 300.0
_SEND_STEP = 262_144


class ConnectFailed(Exception):
    """No connection: the name is unknown, nobody listens, or TLS failed."""


class ConnectTimeout(Exception):
    """No connection within the time allowed."""


@dataclass(frozen=True, slots=True)
class _Origin:
    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, parts: SplitResult) -> _Origin:
        return cls(
            parts.scheme,
            parts.hostname or "",
            parts.port or (443 if parts.scheme == "https" else 80),
        )


class PushClient:
    """Connections to model servers, kept alive between answers. One for the whole application.

    Args:
        connect_timeout: seconds to resolve, connect and greet.
        most_connections: at once; a further request waits.
        idle_timeout: seconds after which an unused connection is closed.
        user_agent: sent with every request.
    """

    def __init__(
        self,
        *,
        connect_timeout: float,
        most_connections: int,
        idle_timeout: float = 75.0,
        user_agent: str,
    ) -> None:
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._fixed = f"User-Agent: {user_agent}\r\nAccept: */*\r\n".encode()
        self._slots = asyncio.Semaphore(most_connections)
        self._idle: dict[_Origin, deque[PushConnection]] = {}
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[_Origin, bytes]] = {}
        self._names: dict[_Origin, tuple[float, list[aiohappyeyeballs.AddrInfoType]]] = {}
        self._tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, alone: bool = False
    ) -> AsyncIterator[Exchange]:
        """Send a request and yield its answer, once its head is there.

        Leaving the block before the answer is read to its end closes the connection at once.

        Args:
            alone: over a connection of its own, that serves no other request.

        Raises:
            ConnectFailed, ConnectTimeout: there is no connection; nothing was sent.
            ConnectionBroken: it broke before the answer's head; the request may have arrived.
        """
        origin, head = self._head(url, headers)
        async with self._slots:
            pooled = None if alone else self._pooled(origin)
            connection = pooled or await self._connected(origin)
            exchange = connection.begin()
            try:
                whole_head = b"%bContent-Length: %d\r\n\r\n" % (head, len(body))
                await _send(connection, exchange, whole_head, body)
                del body
                await exchange.head()
                yield exchange
            finally:
                idle = self._idle.setdefault(origin, deque())
                connection.finish(exchange, None if alone else idle.append)

    def tick(self, now: float) -> None:
        """Close connections that have been idle for too long; `now` is the event loop's time."""
        for connections in self._idle.values():
            # The longest idle is at the left: the youngest is taken first.
            while connections and now - connections[0].idle_since >= self._idle_timeout:
                connections.popleft().close()

    def close(self) -> None:
        """Close every idle connection."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()

    def _head(self, url: str, headers: Mapping[str, str]) -> tuple[_Origin, bytes]:
        """The request line and headers, up to the body's length; nearly always the same."""
        key = (url, tuple(headers.items()))
        known = self._heads.get(key)
        if known is None:
            if len(self._heads) >= 64:
                # A restarted local server has another port each time.
                self._heads.clear()
            parts = urlsplit(url)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            host = parts.netloc.rpartition("@")[2]
            lines = [f"POST {path} HTTP/1.1", f"Host: {host}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            if any(ord(letter) < 32 or ord(letter) == 127 for line in lines for letter in line):
                raise ValueError("a control character in a request's head")
            head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
            known = self._heads[key] = (_Origin.of(parts), head + self._fixed)
        return known

    def _pooled(self, origin: _Origin) -> PushConnection | None:
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            if connection.is_open:
                return connection
        return None

    async def _connected(self, origin: _Origin) -> PushConnection:
        try:
            async with asyncio.timeout(self._connect_timeout):
                return await self._connect(origin)
        except TimeoutError:
            raise ConnectTimeout from None
        except OSError:
            # The name is unknown, nobody listens, or the certificate is not good.
            self._names.pop(origin, None)
            raise ConnectFailed from None

    async def _connect(self, origin: _Origin) -> PushConnection:
        loop = asyncio.get_running_loop()
        sock = await aiohappyeyeballs.start_connection(
            await self._addresses(origin, loop), happy_eyeballs_delay=_HAPPY_EYEBALLS, loop=loop
        )
        try:
            _, connection = await loop.create_connection(
                lambda: PushConnection(loop),
                sock=sock,
                ssl=self._context() if origin.scheme == "https" else None,
                server_hostname=origin.host if origin.scheme == "https" else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    async def _addresses(
        self, origin: _Origin, loop: asyncio.AbstractEventLoop
    ) -> list[aiohappyeyeballs.AddrInfoType]:
        until, addresses = self._names.get(origin, (0.0, []))
        if loop.time() >= until:
            addresses = list(
                await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            )
            self._names[origin] = (loop.time() + _NAMES_KEPT, addresses)
        return addresses

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


async def _send(connection: PushConnection, exchange: Exchange, head: bytes, body: bytes) -> None:
    if len(body) <= _SEND_STEP:
        connection.write(head + body)
        return
    # A large one goes out piece by piece, so that the event loop stays free.
    connection.write(head)
    for start in range(0, len(body), _SEND_STEP):
        if exchange.status or not connection.is_open:
            # A refusal that did not wait for the rest, which would be in vain.
            exchange.can_serve_again = False
            return
        connection.write(body[start : start + _SEND_STEP])
        await connection.writable()
