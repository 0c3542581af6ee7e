"""What one WebSocket listens to under one id: a turn of its own, or one that it came back to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from marshmallow import EXCLUDE, Schema, fields, validate

from chuk.api.ai.socket_relay import RelayedTurn
from chuk.api.ai.streams import MOST_EVENTS
from chuk.api.fields import WholeNumber
from chuk.chat.events import Done
from chuk.chat.generation import Generation
from chuk.chat.ports import Subscriber
from chuk.chat.streams import Streams
from chuk.errors import ChukError, NotFound, StreamInterrupted
from chuk.web.sockets import SocketSubscriber
from chuk.web.validation import checked


class Listening(Protocol):
    """A turn, as the socket that gets its events sees it."""

    async def cancel(self) -> None:
        """Stop the turn, as its user wishes; its last events still come."""
        ...

    def interrupt(self) -> None:
        """The server closes the socket: tell so."""
        ...

    def leave(self) -> None:
        """The socket is gone."""
        ...

    async def finished(self) -> None:
        """Wait until nothing more comes."""
        ...


class OwnTurn:
    """A turn that was asked for on this very socket. It ends with the server's end of it."""

    __slots__ = ("_subscriber", "_turn")

    def __init__(self, turn: Generation, subscriber: SocketSubscriber) -> None:
        self._turn = turn
        self._subscriber = subscriber

    async def cancel(self) -> None:
        """See `Listening`."""
        self._turn.stop(Done())

    def interrupt(self) -> None:
        """See `Listening`."""
        self._turn.stop(StreamInterrupted())

    def leave(self) -> None:
        """See `Listening`."""
        self._turn.leave(self._subscriber)

    async def finished(self) -> None:
        """See `Listening`."""
        await self._turn.finished()


class Resumed(RelayedTurn):
    """An answer that its user came back to. The turn does not depend on this socket."""

    __slots__ = ("_stream_id", "_streams", "_user_id")

    def __init__(
        self,
        streams: Streams,
        user_id: UUID,
        stream_id: str,
        after: int,
        subscriber: Subscriber,
        *,
        tell: Callable[[ChukError], object],
        over: Callable[[], object],
    ) -> None:
        super().__init__(subscriber, tell=tell, over=over)
        self._streams = streams
        self._user_id = user_id
        self._stream_id = stream_id
        self._begin(partial(streams.resume, user_id, stream_id, after, self))

    async def cancel(self) -> None:
        """See `Listening`."""
        with suppress(NotFound):
            await self._streams.stop(self._user_id, self._stream_id)

    def interrupt(self) -> None:
        """See `Listening`."""
        self._task.cancel()
        self._fail(StreamInterrupted())

    def leave(self) -> None:
        """See `Listening`."""
        self._task.cancel()


class _ResumeMessage(Schema):
    class Meta:
        unknown = EXCLUDE

    stream = fields.Str(required=True, validate=validate.Length(min=1, max=128))
    after = WholeNumber(load_default=0, validate=validate.Range(min=0, max=MOST_EVENTS))


_MESSAGE = _ResumeMessage()


def resume_place(values: Mapping[str, Any]) -> tuple[str, int]:
    """Which answer a message wants to go on with, and the number of the last event it has.

    Raises:
        InvalidRequest: it does not say so.
    """
    found = checked(_MESSAGE, values)
    return found["stream"], found["after"]
