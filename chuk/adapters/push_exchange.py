"""One connection of the push client, and the answer that it is being used for."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httptools

Wait = Callable[[], Awaitable[None]]
Consume = Callable[[bytes], Wait | None]
"""Takes what one read brought. What it returns, if anything, is waited for before the next."""

_LARGEST_HEAD = 65_536
# Of an answer that nobody takes yet; beyond it the kernel, and so upstream, waits.
_MOST_WAITING = 65_536
# A piece of a few bytes costs ten times as much.
_MOST_PIECES = 64
_MOST_UNPACKED = 1_048_576
# Seconds that a connection waits for the end of a body nobody wants any more of.
_LONGEST_LINGER = 0.25


class ConnectionBroken(Exception):
    """The connection ended, or made no sense, before the answer was whole."""


class Exchange:
    """One answer. Its body is read by `relay` or by `read`, once.

    Attributes:
        status: the HTTP status; 0 before the head.
        headers: names in lower case; of a repeated one the last value.
        is_whole: the body's end has arrived.
        may_linger: see `let_go`.
    """

    __slots__ = (
        "_connection",
        "_consume",
        "_error",
        "_head_size",
        "_is_busy",
        "_is_paused",
        "_is_wanted",
        "_loop",
        "_parser",
        "_pending",
        "_reads_to_close",
        "_unpacker",
        "_waiting",
        "_waiting_size",
        "_wake",
        "can_serve_again",
        "headers",
        "is_whole",
        "may_linger",
        "status",
    )

    def __init__(self, connection: PushConnection, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.is_whole = False
        self.may_linger = False
        self.can_serve_again = True
        self._connection = connection
        self._loop = loop
        # The parser calls this object's `on_…` methods.
        self._parser = httptools.HttpResponseParser(self)
        self._head_size = 0
        self._reads_to_close = False
        self._consume: Consume | None = None
        self._pending: Wait | None = None
        self._error: BaseException | None = None
        self._is_busy = False
        self._is_paused = False
        self._is_wanted = True
        self._unpacker: Any = None
        self._wake: asyncio.Future[None] | None = None
        self._waiting: list[bytes] = []
        self._waiting_size = 0

    async def head(self) -> None:
        """Wait for the status and the headers.

        Raises:
            ConnectionBroken: they never came.
        """
        while not self.status:
            self._raise_error()
            await self._woken()

    async def relay(self, consume: Consume) -> None:
        """Hand each read to `consume`, in the very callback that brought it, up to the end.

        Ends early after `enough`. Whatever `consume` raises is raised here.

        Raises:
            ConnectionBroken: the body is not whole.
        """
        self._consume = consume
        try:
            while True:
                self._is_busy = True
                while self._pending or (self._waiting and self._is_wanted):
                    if self._pending is None:
                        self._pending = consume(self._taken())
                    else:
                        pending, self._pending = self._pending, None
                        await pending()
                self._is_busy = False
                if self.is_whole or not self._is_wanted:
                    return
                self._raise_error()
                self.resume()
                await self._woken()
        finally:
            self._consume = None

    async def read(self, most: int) -> bytes:
        """The body, or its first `most` bytes, where that is less."""
        body = bytearray()

        def keep(chunk: bytes) -> None:
            body.extend(chunk)
            if len(body) >= most:
                self.enough()

        await self.relay(keep)
        return bytes(body[:most])

    def enough(self) -> None:
        """Nothing more of this body is wanted; `relay` returns."""
        self._is_wanted = False

    def let_go(self) -> None:
        """Nothing more is wanted, but the body's end is near: let its connection wait for it."""
        self._is_wanted = False
        self.may_linger = True

    # What the connection calls.

    def feed(self, data: bytes) -> None:
        """Take what the kernel delivered."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.fail(ConnectionBroken())
        if not self.status:
            self._head_size += len(data)
            if self._head_size > _LARGEST_HEAD:
                self.fail(ConnectionBroken())
        if self._waiting:
            self._hand_on()

    def lose_connection(self, error: Exception | None) -> None:
        """The connection is gone; for some servers that is how a body ends (RFC 9112 §6.3)."""
        self.can_serve_again = False
        if self._reads_to_close and error is None:
            self.on_message_complete()
        self.fail(ConnectionBroken())

    def fail(self, error: BaseException) -> None:
        """End it here, unless it is whole."""
        self.can_serve_again = False
        if not self.is_whole and self._error is None:
            self._error = error
            self._wake_up()

    def resume(self) -> None:
        """Let the kernel deliver again."""
        if self._is_paused:
            self._is_paused = False
            self._connection.resume()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.is_whole:
            # A second answer to one request.
            self.can_serve_again = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.status:
            return
        headers = self.headers
        if status < 200:
            # It says nothing yet (RFC 9110 §15.2).
            headers.clear()
            return
        self._reads_to_close = not ("content-length" in headers or "transfer-encoding" in headers)
        self.can_serve_again = self._parser.should_keep_alive() and not self._reads_to_close
        if headers.get("content-encoding", "").lower() in ("gzip", "deflate"):
            # Asked not to, some servers pack all the same.
            self._unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        self.status = status
        self._wake_up()

    def on_body(self, chunk: bytes) -> None:
        if not self._is_wanted or self.is_whole or self._error is not None:
            return
        if self._unpacker is not None:
            chunk = self._unpacked(chunk)
        self._waiting_size += len(chunk)
        if self._waiting_size > _MOST_UNPACKED:
            # Only what was packed grows so large within one read.
            self.fail(ConnectionBroken())
            return
        self._waiting.append(chunk)

    def on_message_complete(self) -> None:
        if self.status and not self.is_whole and self._error is None:
            self.is_whole = True
            self._wake_up()

    def _unpacked(self, chunk: bytes) -> bytes:
        try:
            unpacked = cast(bytes, self._unpacker.decompress(chunk, _MOST_UNPACKED))
        except zlib.error:
            self.fail(ConnectionBroken())
            return b""
        if self._unpacker.unconsumed_tail:
            self.fail(ConnectionBroken())
        return unpacked

    def _hand_on(self) -> None:
        """Give all that one read brought to whoever takes it, or keep it for him.

        At once and not by the chunks that it came in: a server may make one of each byte.
        """
        consume = self._consume
        if consume is None or self._is_busy or self.is_whole or self._error is not None:
            if len(self._waiting) > _MOST_PIECES:
                self._waiting = [b"".join(self._waiting)]
            if self._waiting_size > _MOST_WAITING and not self._is_paused:
                self._is_paused = True
                self._connection.pause()
            self._wake_up()
            return
        try:
            self._pending = consume(self._taken())
        except Exception as error:
            self.fail(error)
            return
        if self._pending is not None or not self._is_wanted:
            # From here on what comes has to wait: the client is slow, or it is enough.
            self._is_busy = True
            self._wake_up()

    def _taken(self) -> bytes:
        waiting, self._waiting, self._waiting_size = self._waiting, [], 0
        return waiting[0] if len(waiting) == 1 else b"".join(waiting)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    async def _woken(self) -> None:
        self._wake = self._loop.create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class PushConnection(asyncio.Protocol):
    """A connection that is used for one exchange after the other.

    Attributes:
        idle_since: the event loop's time at which the last one ended.
        is_open: whether it can be written to.
    """

    __slots__ = (
        "_exchange",
        "_linger",
        "_loop",
        "_transport",
        "_when_free",
        "_writable",
        "idle_since",
        "is_open",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_open = False
        self.idle_since = 0.0
        self._loop = loop
        self._exchange: Exchange | None = None
        self._writable: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._when_free: WhenFree | None = None

    def begin(self) -> Exchange:
        """Make the exchange for the request that is written next."""
        self._exchange = Exchange(self, self._loop)
        return self._exchange

    def finish(self, exchange: Exchange, when_free: WhenFree | None) -> None:
        """End an exchange: `when_free` is called once the connection can serve another.

        It is closed instead where it shall not, or the answer is not whole, and not about to be.
        """
        exchange.resume()
        self._when_free = when_free
        if self.is_open and exchange.may_linger and not exchange.is_whole:
            self._linger = self._loop.call_later(_LONGEST_LINGER, self.close)
        else:
            self._free(exchange)

    def _free(self, exchange: Exchange) -> None:
        self._exchange = None
        self.idle_since = self._loop.time()
        when_free, self._when_free = self._when_free, None
        if self.is_open and exchange.is_whole and exchange.can_serve_again and when_free:
            when_free(self)
        else:
            self.close()

    def close(self) -> None:
        """Close at once, whatever is still under way."""
        self.is_open = False
        self._transport.abort()

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def writable(self) -> None:
        """Wait until what was written has mostly gone."""
        if self._writable is not None:
            await self._writable

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        if self.is_open:
            self._transport.resume_reading()

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None:
            exchange.feed(data)
            # Only now, because what follows the end in this read tells that it cannot be trusted.
            if self._linger is not None and exchange.is_whole:
                self._linger.cancel()
                self._linger = None
                self._free(exchange)
        else:
            # Nothing was asked for: whatever it is, it must not answer the next request.
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self.resume_writing()
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._exchange is not None:
            self._exchange.lose_connection(exc)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None


WhenFree = Callable[[PushConnection], None]
