"""A turn that does not end with the socket it is told on: followed in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from chuk.chat.events import Done, Failed, TurnEvent
from chuk.chat.ports import Subscriber, Wait
from chuk.errors import ChukError, InternalError
from chuk.logs import log_failure


class RelayedTurn:
    """The common part of such turns; a `chuk.chat.ports.Subscriber` before the socket's own.

    Args:
        subscriber: the socket's own.
        tell: says an error that is not the turn's own end.
        over: called once, as soon as nothing more comes.
    """

    __slots__ = ("_is_over", "_over", "_subscriber", "_task", "_tell")

    def __init__(
        self,
        subscriber: Subscriber,
        *,
        tell: Callable[[ChukError], object],
        over: Callable[[], object],
    ) -> None:
        self._subscriber = subscriber
        self._tell = tell
        self._over = over
        self._is_over = False
        self._task: asyncio.Task[None]

    def deliver(self, first_number: int, events: Sequence[TurnEvent]) -> Wait | None:
        """See `chuk.chat.ports.Subscriber.deliver`."""
        if isinstance(events[-1], (Done, Failed)):
            # Before the client can answer it with another message of the same id.
            self._end()
        return self._subscriber.deliver(first_number, events)

    def cut(self) -> None:
        """See `chuk.chat.ports.Subscriber.cut`."""
        self._subscriber.cut()

    async def finished(self) -> None:
        """See `chuk.api.ai.socket_listening.Listening`."""
        await asyncio.wait([self._task])

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        self._task = asyncio.create_task(self._watched(work))

    async def _watched(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            working = work()
            # What it was given may be megabytes of pictures.
            del work
            await working
        except ChukError as error:
            self._fail(error)
        except Exception as error:
            log_failure("socket", error)
            self._fail(InternalError())
        finally:
            self._end()

    def _fail(self, error: ChukError) -> None:
        if not self._is_over:
            self._end()
            with suppress(ConnectionError):
                self._tell(error)

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._over()
