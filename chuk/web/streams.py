"""A turn as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from operator import add
from typing import cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpVersion11, StreamWriter
from aiohttp_sse import EventSourceResponse

from chuk.chat.events import Content, Done, Failed, Started, TurnEvent
from chuk.chat.ports import Wait
from chuk.errors import ChukError
from chuk.web.connections import Connection
from chuk.web.envelope import Profile
from chuk.web.events import event_json

_PING = b": ping\n\n"
# What follows `id: <stream>:` in a frame of content. Formatting a number costs more than the rest
# of its frame, and most answers have fewer events.
_NUMBERED = [b'%d\ndata: {"content":"' % number for number in range(4096)]


class _Answer(EventSourceResponse):
    """Pinged by `Connections`: a task and a timer for each answer cost a short one dearly."""

    # The head waits for the first events: sent alone it is a system call and a packet more.
    _send_headers_immediately = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return await web.StreamResponse.prepare(self, request)


class SseSubscriber:
    """Writes a turn's events to one SSE answer, one write for each upstream read.

    The answer begins with the first event. A turn that fails before it has no answer to write
    into: its error is in `refusal`, and becomes a plain HTTP error.

    Args:
        stream_id: of an answer that is taken up again, whose first event may not come.
    """

    def __init__(
        self,
        request: web.Request,
        connection: Connection,
        *,
        profile: Profile,
        ping_interval: float,
        stream_id: str | None = None,
    ) -> None:
        self.refusal: ChukError | None = None
        self.response = _Answer(
            allow_all_methods=True,
            sep="\n",
            # The listening socket carries TCP_USER_TIMEOUT, and `Connections` cuts who stalls:
            # nothing is left to set for each answer.
            send_timeout=None,
        )
        self._ping_interval = ping_interval
        self._request = request
        self._connection = connection
        self._profile = profile
        self._writer: StreamWriter | None = None
        self._protocol: BaseProtocol | None = None
        self._is_chunked = False
        # Told before the answer began: its events so far, and the number of the first.
        self._untold: list[TurnEvent] = []
        self._first_untold = 0
        # How a frame begins: `id: <stream>:`, and how the next one begins after one of content.
        self._begin = self._between = b""
        if stream_id is not None:
            self._name(stream_id)

    async def begin(self) -> None:
        """Begin the answer now, before there is any event: what comes next may take its time."""
        writer = await self._prepared()
        writer.send_headers()
        self._begin_pings()

    def deliver(self, first_number: int, events: Sequence[TurnEvent]) -> Wait | None:
        """See `chuk.chat.ports.Subscriber.deliver`."""
        protocol = self._protocol
        if protocol is None:
            if not self._untold:
                self._first_untold = first_number
            self._untold += events
            return self._open
        data = self._framed(first_number, events)
        if not data:
            # An empty chunk would end the body.
            return None
        self._connection.written += len(data)
        if isinstance(events[-1], (Done, Failed)):
            return partial(self._end, data)
        # Past StreamResponse.write(), which does the same in three coroutines.
        transport = self._connection.transport
        if transport.is_closing():
            raise ConnectionResetError
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)
        return self._drained if protocol.writing_paused else None

    def cut(self) -> None:
        """See `chuk.chat.ports.Subscriber.cut`."""
        self._connection.transport.abort()

    async def _drained(self) -> None:
        assert self._writer is not None
        # aiohttp lets all who wait share one future. A turn that is stopped while it waits would
        # cancel it, and its own last words, which wait for the same one, would break off.
        await asyncio.shield(self._writer.drain())

    async def _open(self) -> None:
        """Begin the answer, with all events so far in the same write as its head.

        A turn that is stopped may never have waited for this: its next events then come along.
        """
        if not self._untold:
            return
        opening = self._untold[0]
        if isinstance(opening, Failed):
            self.refusal = opening.error
            return
        if isinstance(opening, Started):
            self._name(opening.stream_id)
        writer = await self._prepared()
        events, self._untold = self._untold, []
        data = self._framed(self._first_untold, events)
        self._connection.written += len(data)
        if isinstance(events[-1], (Done, Failed)):
            await self._end(data)
            return
        await writer.write(data, drain=False)
        self._begin_pings()
        if writer.protocol.writing_paused:
            await self._drained()

    def _begin_pings(self) -> None:
        ping = b"%x\r\n%b\r\n" % (len(_PING), _PING) if self._is_chunked else _PING
        self._connection.begin_pings(ping, self._ping_interval)

    def _name(self, stream_id: str) -> None:
        self._begin = b"id: %b:" % stream_id.encode()
        self._between = b'"}\n\n' + self._begin

    async def _prepared(self) -> StreamWriter:
        """Put the head together; it goes out with whatever is written first."""
        response = self.response
        if self._request.version < HttpVersion11:
            # Without chunks a body ends with its connection, even if the client would keep it.
            response.force_close()
            response.headers["Connection"] = "close"
        writer = self._writer = cast(StreamWriter, await response.prepare(self._request))
        # They are sent; a kilobyte of them would stay with each open stream.
        response.headers.clear()
        self._is_chunked, self._protocol = writer.chunked, writer.protocol
        return writer

    def _framed(self, number: int, events: Sequence[TurnEvent]) -> bytes:
        """All events as one run of bytes."""
        event = events[0]
        if type(event) is Content and len(events) == 1 and len(event.pieces) == 1:
            # Paced by a model, nearly every read is one token.
            (numbered,) = _numbered(number, number + 1)
            return b'%b%b%b"}\n\n' % (self._begin, numbered, event.pieces[0])
        frames: list[bytes] = []
        for event in events:
            if isinstance(event, Content):
                # The one thing that is done for every token; nothing here is Python's own work.
                pieces = event.pieces
                following = number + len(pieces)
                frames += [
                    self._begin,
                    self._between.join(map(add, _numbered(number, following), pieces)),
                    b'"}\n\n',
                ]
                number = following
            elif isinstance(event, Done):
                frames.append(b"data: [DONE]\n\n")
            else:
                for document in event_json(event, self._profile):
                    frames.append(b"%b%d\ndata: %b\n\n" % (self._begin, number, document))
                    number += 1
        return b"".join(frames)

    def close(self) -> None:
        """No more pings: a client that left would otherwise be pinged once more."""
        self._connection.end_pings()

    async def _end(self, data: bytes) -> None:
        """The last frames and the body's end in one write; then no more pings."""
        self._connection.end_pings()
        await self.response.write_eof(data)


def _numbered(first: int, following: int) -> Sequence[bytes]:
    if following <= len(_NUMBERED):
        return _NUMBERED[first:following]
    return [b'%d\ndata: {"content":"' % number for number in range(first, following)]
