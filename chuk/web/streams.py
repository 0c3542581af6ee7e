"""A turn as server-sent events."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from chuk.chat.events import Content, Done, Failed, Started, TurnEvent
from chuk.errors import ChukError
from chuk.web.connections import Connection
from chuk.web.envelope import Profile
from chuk.web.events import event_json


class SseSubscriber:
    """Writes a turn's events to one SSE answer, one write for each upstream read.

    The answer begins with the first event. A turn that fails before it has no answer to write
    into: its error is in `refusal`, and becomes a plain HTTP error.
    """

    def __init__(
        self,
        request: web.Request,
        connection: Connection,
        *,
        profile: Profile,
        ping_interval: float,
    ) -> None:
        self.refusal: ChukError | None = None
        self.response = EventSourceResponse(
            allow_all_methods=True,
            sep="\n",
            ping_interval=ping_interval,
            # The listening socket carries TCP_USER_TIMEOUT, and `Connections` cuts who stalls:
            # nothing is left to set for each answer.
            send_timeout=None,
        )
        self._request = request
        self._connection = connection
        self._profile = profile
        self._frame = self._content = b""

    async def deliver(self, first_number: int, events: Sequence[TurnEvent]) -> None:
        """See `chuk.chat.ports.Subscriber.deliver`."""
        response = self.response
        if not response.prepared:
            opening = events[0]
            if isinstance(opening, Failed):
                self.refusal = opening.error
                return
            if isinstance(opening, Started):
                self._frame = b"id: %b:%%d\ndata: %%b\n\n" % opening.stream_id.encode()
                self._content = self._frame.replace(b"%b", b'{"content":%b}')
            await response.prepare(self._request)
            # They are sent; a kilobyte of them would stay with each open stream.
            response.headers.clear()
        last = events[-1]
        data = self._framed(first_number, events)
        self._connection.written += len(data)
        # Ready bytes: EventSourceResponse.send() would split and copy each event again.
        if isinstance(last, (Done, Failed)):
            await self._end(data)
        else:
            await response.write(data)

    def _framed(self, number: int, events: Sequence[TurnEvent]) -> bytes:
        """All events as one run of bytes."""
        frames: list[bytes] = []
        for event in events:
            if isinstance(event, Content):
                # Once a token: JSON and frame in one step.
                frames += [self._content % piece for piece in enumerate(event.pieces, number)]
                number += len(event.pieces)
            elif isinstance(event, Done):
                frames.append(b"data: [DONE]\n\n")
            else:
                for document in event_json(event, self._profile):
                    frames.append(self._frame % (number, document))
                    number += 1
        return b"".join(frames)

    def close(self) -> None:
        """No more pings: a client that left would otherwise be pinged once more."""
        if self.response.is_connected():
            self.response.stop_streaming()

    async def _end(self, data: bytes) -> None:
        """The last frames and the body's end in one write; then no more pings."""
        self.response.stop_streaming()
        await self.response.write_eof(data)
