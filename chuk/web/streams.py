"""A turn as server-sent events."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from chuk.chat.events import Done, Failed, Started, TurnEvent
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
        stall_timeout: float,
    ) -> None:
        self.refusal: ChukError | None = None
        self.response = EventSourceResponse(
            allow_all_methods=True,
            sep="\n",
            ping_interval=ping_interval,
            send_timeout=stall_timeout,
        )
        self._request = request
        self._connection = connection
        self._profile = profile
        self._frame = b""

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
            await response.prepare(self._request)
        frame, profile = self._frame, self._profile
        last = events[-1]
        is_done = isinstance(last, Done)
        frames = [
            frame % (number, event_json(event, profile))
            for number, event in enumerate(events[:-1] if is_done else events, first_number)
        ]
        if is_done:
            frames.append(b"data: [DONE]\n\n")
        data = b"".join(frames)
        self._connection.written += len(data)
        # Ready bytes: EventSourceResponse.send() would split and copy each event again.
        if is_done or isinstance(last, Failed):
            await self._end(data)
        else:
            await response.write(data)

    async def _end(self, data: bytes) -> None:
        """The last frames and the body's end in one write; then no more pings."""
        self.response.stop_streaming()
        await self.response.write_eof(data)
