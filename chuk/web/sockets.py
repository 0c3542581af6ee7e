"""One writer for one WebSocket, and a turn's events as its text frames."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import orjson
from aiohttp import WSMsgType, web

from chuk.chat.events import Done, TurnEvent
from chuk.chat.ports import Wait
from chuk.errors import ChukError
from chuk.web.connections import Connection
from chuk.web.envelope import Profile, error_event
from chuk.web.events import event_json

MessageId = str | int

_MOST_WAITING = 65_536
_FRAME_HEADER = 10
_DONE = [b'{"done":true}']


class Outbox:
    """A bounded queue of frames with one writer, made only while there is something to write.

    An idle socket has no task and no queue of its own: it costs what its connection costs.
    """

    __slots__ = ("_connection", "_frames", "_room", "_size", "_socket", "_writer")

    def __init__(self, socket: web.WebSocketResponse, connection: Connection) -> None:
        self._socket = socket
        self._connection = connection
        self._frames: deque[bytes] | None = None
        self._size = 0
        self._writer: asyncio.Task[None] | None = None
        self._room: asyncio.Event | None = None

    def put(self, frames: Sequence[bytes]) -> Wait | None:
        """Queue frames in order; while more than 64 KB wait already, returns what to wait for.

        Raises:
            ConnectionResetError: the socket is closed.
        """
        if self._socket.closed:
            raise ConnectionResetError
        if self._frames is None:
            self._frames = deque()
        self._frames.extend(frames)
        self._size += sum(map(len, frames))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return self._has_room if self._size > _MOST_WAITING else None

    async def send(self, frame: bytes) -> None:
        """Queue one frame, and wait for room after it.

        Raises:
            ConnectionResetError: the socket is closed.
        """
        if (wait := self.put([frame])) is not None:
            await wait()

    async def _has_room(self) -> None:
        while self._size > _MOST_WAITING:
            if self._room is None:
                self._room = asyncio.Event()
            self._room.clear()
            await self._room.wait()
            if self._socket.closed:
                raise ConnectionResetError

    def cut(self) -> None:
        """End the connection at once; what is queued is lost."""
        self._connection.transport.abort()

    async def flushed(self) -> None:
        """Wait until all that was queued is written, or the socket is gone."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        frames = self._frames
        assert frames is not None
        try:
            while frames:
                frame = frames.popleft()
                self._connection.written += len(frame) + _FRAME_HEADER
                await self._socket.send_frame(frame, WSMsgType.TEXT)
                self._size -= len(frame)
                self._wake()
        except ConnectionError:
            # The reader ends on its own; whoever waits for room learns it from `closed`.
            frames.clear()
            self._size = 0
        finally:
            self._writer = self._frames = None
            self._wake()

    def _wake(self) -> None:
        if self._room is not None and self._size <= _MOST_WAITING:
            self._room.set()


class SocketSubscriber:
    """Puts one turn's events into a socket's outbox, each with the client's own `id`, if any."""

    __slots__ = ("_outbox", "_prefix", "_profile")

    def __init__(self, outbox: Outbox, profile: Profile, message_id: MessageId | None) -> None:
        self._outbox = outbox
        self._profile = profile
        self._prefix = id_prefix(message_id)

    def deliver(self, first_number: int, events: Sequence[TurnEvent]) -> Wait | None:
        """See `chuk.chat.ports.Subscriber.deliver`."""
        documents: list[bytes] = []
        for event in events:
            documents += _DONE if isinstance(event, Done) else event_json(event, self._profile)
        if prefix := self._prefix:
            documents = [prefix + document[1:] for document in documents]
        return self._outbox.put(documents)

    def cut(self) -> None:
        """See `chuk.chat.ports.Subscriber.cut`."""
        self._outbox.cut()


def error_frame(profile: Profile, error: ChukError, message_id: MessageId | None = None) -> bytes:
    """An `error` event outside of any turn."""
    payload = error_event(profile, error)
    prefix = id_prefix(message_id)
    return prefix + payload[1:] if prefix else payload


def id_prefix(message_id: MessageId | None) -> bytes:
    """The start of a JSON object whose first member echoes the client's `id`."""
    return b"" if message_id is None else b'{"id":%b,' % orjson.dumps(message_id)
