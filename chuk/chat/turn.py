"""A chat turn: resolve, then run as a generation. One pipeline for every transport."""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import UUID

from chuk.accounts.principal import Principal
from chuk.catalog.service import Catalog
from chuk.chat.books import TurnBooks
from chuk.chat.command import ChatCommand
from chuk.chat.events import Done
from chuk.chat.generation import Generation, Patience
from chuk.chat.grace import Grace
from chuk.chat.meter import TurnMeter
from chuk.chat.ports import StreamStore, Subscriber, Upstream
from chuk.chat.resolution import resolve
from chuk.chat.stream_id import new_stream_id
from chuk.credits.service import Credits
from chuk.errors import ServiceUnavailable
from chuk.steps import in_steps

_CUT_OFF = "The server is restarting. Please ask again."
_LAST_WORDS = 5.0  # seconds for the final events to reach clients that still read


class Turns:
    """Every running turn of this process.

    Args:
        streams: where turns are recorded.
        grace: seconds that a turn goes on when nobody listens any more; 0: it stops, and only
            what is to be kept is recorded.
        outlives: whether what is recorded can be read at another process once this one has ended.
        meter: counts them.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        upstream: Upstream,
        credit_service: Credits,
        patience: Patience,
        streams: StreamStore,
        grace: float,
        outlives: bool = False,
        meter: TurnMeter | None = None,
    ) -> None:
        self.meter = meter or TurnMeter()
        self._catalog = catalog
        self._upstream = upstream
        self._credit_service = credit_service
        self._patience = patience
        self._streams = streams
        self._grace = grace
        self._outlives = outlives
        self._running: dict[str, Generation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False
        streams.heed(self.stop_stream)

    def start(
        self,
        principal: Principal,
        command: ChatCommand,
        subscriber: Subscriber,
        *,
        stream_id: str | None = None,
        keep: float | None = None,
        is_lasting: bool = True,
    ) -> Generation:
        """Begin a turn whose events go to `subscriber`.

        Args:
            stream_id: the turn's name; a new one unless given. None other may have it.
            keep: for how many seconds after its end it can be read again, where that is not as
                usual; it is recorded in any case then.
            is_lasting: False: its client knows no way back to it, and losing it stops the turn.

        Raises:
            ServiceUnavailable: the server is draining, or has no model list yet.
            ModelNotFound: no such model, or not from this provider.
            InvalidRequest: pictures for a model that cannot see.
            ContextTooLong: the conversation does not fit.
        """
        if self._is_draining:
            raise ServiceUnavailable("The server is restarting. Please try again in a moment.")
        resolution = resolve(command, self._catalog.model(command.model_id))
        stream_id = stream_id or new_stream_id()
        seconds = self._grace if is_lasting else 0.0
        recording = grace = None
        if seconds > 0 or keep is not None:
            recording = self._streams.open(
                stream_id, principal.user_id, resolution.model.id, keep=keep
            )
            grace = Grace(recording, seconds, partial(self._streams.is_followed, stream_id))
        generation = Generation(
            owner=principal.user_id,
            resolution=resolution,
            tags=command.tags,
            upstream=self._upstream,
            books=self._new_books(principal),
            patience=self._patience,
            stream_id=stream_id,
            recording=recording,
            grace=grace,
            meter=self.meter,
        )
        task = generation.begin(subscriber)
        self._running[generation.id] = generation
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(generation, done))
        return generation

    def _new_books(self, principal: Principal) -> TurnBooks:
        return TurnBooks(self._credit_service, principal.api_key_id)

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self._running)

    async def tick(self, now: float) -> None:
        """Let each turn look at the clock (the event loop's, in seconds)."""
        await in_steps(self._running.values(), lambda generation: generation.tick(now))

    def stop_stream(self, stream_id: str) -> bool:
        """Stop this turn well, as its user asks; False: it does not run here."""
        generation = self._running.get(stream_id)
        if generation is not None:
            generation.stop(Done())
        return generation is not None

    def stop_of(self, user_id: UUID) -> None:
        """Stop this user's turns; their books are still closed."""
        for generation in self._of(user_id):
            generation.stop(Done())

    async def stopped(self, user_id: UUID) -> None:
        """Stop this user's turns, and wait until their books are closed."""
        self.stop_of(user_id)
        for generation in self._of(user_id):
            await generation.finished()

    def _of(self, user_id: UUID) -> list[Generation]:
        return [each for each in self._running.values() if each.owner == user_id]

    def refuse_new(self) -> None:
        """From now on a new turn is `SERVICE_UNAVAILABLE`."""
        self._is_draining = True

    async def drain(self, grace: float) -> None:
        """Refuse new turns, let the running ones finish for `grace` seconds, then end them.

        Their last event says whether what came of them can still be read, at another process.
        """
        self.refuse_new()
        await self._settled(grace)
        for generation in tuple(self._running.values()):
            is_resumable = self._outlives and generation.is_kept
            details = {"stream": generation.id, "resumable": is_resumable}
            generation.stop(ServiceUnavailable(_CUT_OFF, details=details))
        await self._settled(_LAST_WORDS)

    async def _settled(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)

    def _forget(self, generation: Generation, task: asyncio.Task[None]) -> None:
        del self._running[generation.id]
        self._tasks.discard(task)
