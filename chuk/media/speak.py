"""Texts spoken aloud: hold, speak, settle.

A text is paid for by its characters, all of them as soon as its first sound is there, however
the rest goes: so the service charges too. Without a sound nothing is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, nullcontext
from decimal import Decimal
from itertools import chain
from typing import Self
from uuid import UUID, uuid4

from chuk.credits.ledger import Basis, Operation, Outcome, Progress, UsageRecord
from chuk.credits.money import micro_euro_ceiling
from chuk.credits.service import Credits, Order
from chuk.errors import ChukError, GenerationFailed, RateLimited, ServiceUnavailable
from chuk.logs import log_failure, logger
from chuk.media.jobs import Jobs
from chuk.media.ports import Voice
from chuk.media.utterance import Utterance

# Each may keep a few megabytes of audio for a client that takes its time.
AT_ONCE = 4
_MOST_AHEAD = 8 * 2**20

_log = logger("speech")


class Speech:
    """Speaks texts, and has them paid for.

    Args:
        price: euros for a character.
        jobs: what gives out turns at a voice that speaks one text at a time; None: it has no
            such bounds.

    Attributes:
        interrupted: how many texts broke off after their first sound since the start.
    """

    def __init__(
        self, voice: Voice, credit_service: Credits, *, price: Decimal, jobs: Jobs | None = None
    ) -> None:
        self.interrupted = 0
        self._voice = voice
        self._credits = credit_service
        self._price = price
        self._jobs = jobs
        self._running: dict[UUID, list[asyncio.Task[object]]] = {}
        self._is_closed = False
        self._is_silent = asyncio.Event()
        self._is_silent.set()

    def voice_for(self, voice_id: str) -> str:
        """The name of the voice that speaks when this one is asked for."""
        return self._voice.voice_for(voice_id)

    @asynccontextmanager
    async def spoken(
        self, user_id: UUID, utterance: Utterance, api_key_id: UUID | None = None
    ) -> AsyncIterator[Audio]:
        """Speak while the block runs; it begins with the first sound.

        A listener who leaves ends the block early, and the voice falls silent.

        Args:
            api_key_id: the personal API key that asked; None: the signed-in user.

        Raises:
            RateLimited: too many texts of this user are being spoken.
            ServiceUnavailable: it is being closed.
            ChukError: as `Credits.open` and `Voice.speak`, before the first sound.
        """
        with self._entered(user_id):
            order = self._order(user_id, utterance, api_key_id)
            async with self._credits.hold(order) as payment:
                audio = Audio(self._sounds(user_id, utterance))
                try:
                    async with audio:
                        await audio.begin()
                        payment.note(self._progress(order, len(utterance.text)))
                        yield audio
                finally:
                    # The voice is silent by now, whatever the books are at.
                    if audio.has_begun:
                        outcome = self._outcome(order, audio)
                        usage = self._usage(order, len(utterance.text), outcome)
                        await payment.settle(order.at_most, usage)

    async def close(self, grace: float = 0.0) -> None:
        """Let running texts end for so many seconds, then end them; wait for their books."""
        self._is_closed = True
        try:
            async with asyncio.timeout(grace):
                await self._is_silent.wait()
        except TimeoutError:
            for task in chain.from_iterable(self._running.values()):
                task.cancel()
            await self._is_silent.wait()

    @contextmanager
    def _entered(self, user_id: UUID) -> Iterator[None]:
        """Count a text while it is spoken, and know who listens to it."""
        if self._is_closed:
            raise ServiceUnavailable
        mine = self._running.setdefault(user_id, [])
        if len(mine) >= AT_ONCE:
            raise RateLimited("Too many texts at once.", retry_after=1, limit=AT_ONCE)
        listener = asyncio.current_task()
        assert listener is not None
        mine.append(listener)
        self._is_silent.clear()
        try:
            yield
        finally:
            mine.remove(listener)
            if not mine:
                del self._running[user_id]
            if not self._running:
                self._is_silent.set()

    async def _sounds(self, user_id: UUID, utterance: Utterance) -> AsyncGenerator[bytes, None]:
        place = nullcontext() if self._jobs is None else self._jobs.slot(user_id)
        async with place, aclosing(self._voice.speak(utterance)) as sounds:
            async for sound in sounds:
                yield sound

    def _order(self, user_id: UUID, utterance: Utterance, api_key_id: UUID | None) -> Order:
        cost = micro_euro_ceiling(self._price * len(utterance.text))
        return Order(
            id=f"tts_{uuid4().hex}",
            user_id=user_id,
            operation=Operation.SPEECH,
            model_id=self._voice.model_for(utterance.model_id),
            provider_slug=self._voice.provider_slug,
            at_most=cost,
            at_least=cost,
            is_zdr=self._voice.is_zdr,
            api_key_id=api_key_id,
        )

    def _progress(self, order: Order, characters: int) -> Progress:
        """What is owed from the first sound on, should this process die."""
        cost = order.at_most
        return Progress(
            completion_tokens=characters,
            cost=cost,
            cost_usd=self._credits.prices.in_dollars(cost),
        )

    def _usage(self, order: Order, characters: int, outcome: Outcome) -> UsageRecord:
        return UsageRecord(
            model_id=order.model_id,
            provider_slug=order.provider_slug,
            prompt_tokens=0,
            completion_tokens=0,
            total_tokens=characters,
            cost_usd=self._credits.prices.in_dollars(order.at_most),
            outcome=outcome,
            basis=Basis.ESTIMATE,
            is_zdr=order.is_zdr,
        )

    def _outcome(self, order: Order, audio: Audio) -> Outcome:
        """How it went; what broke off is counted."""
        outcome = audio.outcome
        if outcome is Outcome.CANCELLED and self._is_closed:
            # Not the listener's wish.
            outcome = Outcome.INTERRUPTED
        if outcome is Outcome.INTERRUPTED:
            self.interrupted += 1
            _log.warning(
                "speech_interrupted",
                hold=order.id,
                error=None if audio.failure is None else audio.failure.code,
                interrupted=self.interrupted,
            )
        return outcome


class Audio:
    """The sounds of one text, in order. The voice may be some way ahead of the listener.

    So a listener who takes his time does not keep the voice from the others.

    Attributes:
        has_begun: whether the first sound is there.
        failure: why the voice broke off; None: it did not.
        outcome: how it went for the listener, so far.
    """

    def __init__(self, sounds: AsyncGenerator[bytes, None]) -> None:
        self.has_begun = False
        self.failure: ChukError | None = None
        self.outcome = Outcome.CANCELLED
        self._sounds = sounds
        self._first = b""
        # None: there is no more.
        self._ahead: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._bytes_ahead = 0
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen(), name="speech")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the voice fall silent, and wait until it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def begin(self) -> None:
        """Wait for the first sound.

        Raises:
            ChukError: there is none.
        """
        first = await self._next()
        if first is None:
            raise GenerationFailed
        self._first, self.has_begun = first, True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next sound.

        Raises:
            ChukError: the voice broke off.
        """
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            sound = await self._next()
        except ChukError:
            self.outcome = Outcome.INTERRUPTED
            raise
        if sound is None:
            self.outcome = Outcome.COMPLETED
            raise StopAsyncIteration
        return sound

    async def _next(self) -> bytes | None:
        sound = await self._ahead.get()
        if sound is not None:
            self._bytes_ahead -= len(sound)
            self._taken.set()
        elif self.failure is not None:
            raise self.failure
        return sound

    async def _listen(self) -> None:
        try:
            async with aclosing(self._sounds) as sounds:
                async for sound in sounds:
                    self._bytes_ahead += len(sound)
                    self._ahead.put_nowait(sound)
                    while self._bytes_ahead > _MOST_AHEAD:
                        self._taken.clear()
                        await self._taken.wait()
        except ChukError as error:
            self.failure = error
        except Exception as error:
            log_failure("speech", error)
            self.failure = GenerationFailed()
        self._ahead.put_nowait(None)
