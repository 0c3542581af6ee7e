"""A turn that was asked for with its id as a key: begun here, or one that it stands for already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from chuk.accounts.principal import Principal
from chuk.api.ai.socket_relay import RelayedTurn
from chuk.api.once import KeyedTurns
from chuk.chat.command import ChatCommand
from chuk.chat.events import Done
from chuk.chat.generation import Generation
from chuk.chat.ports import Subscriber
from chuk.errors import ChukError, InvalidRequest, NotFound, StreamInterrupted
from chuk.idempotency.service import is_key
from chuk.web.sockets import MessageId


class KeyedTurn(RelayedTurn):
    """See `chuk.api.ai.socket_listening.Listening`."""

    __slots__ = ("_is_known", "_older", "_turn", "_turns")

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
        super().__init__(subscriber, tell=tell, over=over)
        self._turns = turns
        # Which turn the key stands for, or that there is none.
        self._is_known = asyncio.Event()
        self._turn: Generation | None = None
        # Whose older turn it is, and its name.
        self._older: tuple[Principal, str] | None = None
        self._begin(partial(self._run, principal, command, key, endpoint))

    async def _run(
        self, principal: Principal, command: ChatCommand, key: str, endpoint: str
    ) -> None:
        def on_repeat(stream_id: str) -> None:
            self._older = (principal, stream_id)
            self._is_known.set()

        self._turn = turn = await self._turns.start(
            principal, command, self, key=key, endpoint=endpoint, on_repeat=on_repeat
        )
        self._is_known.set()
        # Its pictures may be megabytes; they are not kept while the answer comes.
        del command
        if turn is not None:
            await turn.finished()

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

    def _end(self) -> None:
        self._is_known.set()
        super()._end()


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
