"""A turn that was asked for with its id as a key: begun here, or one that it stands for already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from chuk.accounts.principal import Principal
from chuk.api.once import KeyedTurns
from chuk.chat.command import ChatCommand
from chuk.chat.events import Done, Failed, TurnEvent
from chuk.chat.generation import Generation
from chuk.chat.ports import Subscriber, Wait
from chuk.errors import ChukError, InternalError, InvalidRequest, NotFound, StreamInterrupted
from chuk.idempotency.service import is_key
from chuk.logs import log_failure
from chuk.web.sockets import MessageId


class KeyedTurn:
    """See `chuk.api.ai.socket_listening.Listening`.

    Args:
        tell: says an error that is not the turn's own end.
        over: called once, as soon as nothing more comes.
    """

    __slots__ = (
        "_is_known",
        "_is_over",
        "_older",
        "_over",
        "_subscriber",
        "_task",
        "_tell",
        "_turn",
        "_turns",
    )

    def __init__(
        self,
        turns: KeyedTurns,
        principal: Principal,
        command: ChatCommand,
        subscriber: Subscriber,
        *,
        key: str,
        endpoint: str,
        tell: Callable[[ChukError], object],
        over: Callable[[], object],
    ) -> None:
        self._turns = turns
        self._subscriber = subscriber
        self._tell = tell
        self._over = over
        self._is_over = False
        # Which turn the key stands for, or that there is none.
        self._is_known = asyncio.Event()
        self._turn: Generation | None = None
        # Whose older turn it is, and its name.
        self._older: tuple[Principal, str] | None = None
        self._task = asyncio.create_task(self._run(principal, command, key, endpoint))

    async def _run(
        self, principal: Principal, command: ChatCommand, key: str, endpoint: str
    ) -> None:
        def on_repeat(stream_id: str) -> None:
            self._older = (principal, stream_id)
            self._is_known.set()

        try:
            self._turn = turn = await self._turns.start(
                principal, command, self, key=key, endpoint=endpoint, on_repeat=on_repeat
            )
            self._is_known.set()
            # Its pictures may be megabytes; they are not kept while the answer comes.
            del command
            if turn is not None:
                await turn.finished()
        except ChukError as error:
            self._fail(error)
        except Exception as error:
            log_failure("socket", error)
            self._fail(InternalError())
        finally:
            self._end()

    def deliver(self, first_number: int, events: Sequence[TurnEvent]) -> Wait | None:
        """See `chuk.chat.ports.Subscriber.deliver`."""
        if isinstance(events[-1], (Done, Failed)):
            # Before the client can answer it with another message of the same id.
            self._end()
        return self._subscriber.deliver(first_number, events)

    def cut(self) -> None:
        """See `chuk.chat.ports.Subscriber.cut`."""
        self._subscriber.cut()

    async def cancel(self) -> None:
        """See `Listening`; a turn that is just being begun is stopped as well."""
        await self._is_known.wait()
        if self._turn is not None:
            self._turn.stop(Done())
        elif self._older is not None:
            principal, stream_id = self._older
            with suppress(NotFound):
                await self._turns.streams.stop(principal.user_id, stream_id)

    def interrupt(self) -> None:
        """See `Listening`."""
        if self._turn is not None:
            self._turn.stop(StreamInterrupted())
        else:
            self._task.cancel()
            self._fail(StreamInterrupted())

    def leave(self) -> None:
        """See `Listening`."""
        if self._turn is not None:
            self._turn.leave(self)
        self._task.cancel()

    async def finished(self) -> None:
        """See `Listening`."""
        await asyncio.wait([self._task])

    def _fail(self, error: ChukError) -> None:
        if not self._is_over:
            self._end()
            with suppress(ConnectionError):
                self._tell(error)

    def _end(self) -> None:
        self._is_known.set()
        if not self._is_over:
            self._is_over = True
            self._over()


def key_of(values: Mapping[str, Any], message_id: MessageId | None) -> str | None:
    """The key of a message: its id, where it says that it is one.

    Raises:
        InvalidRequest: it says so, and has none that can be a key.
    """
    is_key_wanted = values.get("idempotent")
    if is_key_wanted is None or is_key_wanted is False:
        return None
    if is_key_wanted is not True:
        raise InvalidRequest.field("idempotent", "Must be true or false.")
    if message_id is None or not is_key(str(message_id)):
        raise InvalidRequest.field("id", "Of 1 to 128 visible ASCII characters, as a key.")
    return str(message_id)
