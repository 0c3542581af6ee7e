"""Recordings written down: decode, hold, recognise, settle.

A recording's length is measured by decoding it, and paid for by the started second once its text
is there. Silence is not sent to anybody, and costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

from chuk.credits.ledger import Basis, Operation, Outcome, UsageRecord
from chuk.credits.money import MicroEuro, micro_euro_ceiling
from chuk.credits.service import Credits, Order
from chuk.errors import FileTooLarge, InvalidRequest, ProviderTimeout, UnsupportedFormat
from chuk.media.formats import AUDIO, Format, detect_file, ending_of
from chuk.media.jobs import Jobs
from chuk.media.ports import Recogniser, Sound, SoundDecoder
from chuk.media.recording import Hints, Recording, Transcript

TOO_SLOW = "This recording took too long to transcribe."
SUPPORTED = tuple(known.value for known in Format if known in AUDIO)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is listened to.

    Attributes:
        max_bytes: of a recording, for telling.
        max_seconds: any part of the second after it is still within.
        timeout: seconds for one recording, all waiting included.
    """

    max_bytes: int
    max_seconds: int
    timeout: float


class Transcriptions:
    """Writes recordings down, and has them paid for.

    Args:
        price: euros for a started second; 0: free of charge, also for those who have no credits.
        decoding: turns at decoding.
        listening: turns at a recogniser that works on this machine; None: it has no such bounds.
    """

    def __init__(
        self,
        decoder: SoundDecoder,
        recogniser: Recogniser,
        credit_service: Credits,
        *,
        price: Decimal,
        bounds: Bounds,
        decoding: Jobs,
        listening: Jobs | None = None,
    ) -> None:
        self._decoder = decoder
        self._recogniser = recogniser
        self._credits = credit_service
        self._price = price
        self._bounds = bounds
        self._decoding = decoding
        self._listening = listening

    @property
    def languages(self) -> frozenset[str]:
        """ISO 639-1 codes of the languages that are understood."""
        return self._recogniser.languages

    async def transcribe(
        self,
        user_id: UUID,
        path: Path,
        name: str,
        hints: Hints,
        *,
        order_id: str | None = None,
        api_key_id: UUID | None = None,
    ) -> Transcript:
        """Write one file down. Being cancelled ends the work at once, and nothing is taken.

        Args:
            name: what its owner calls it.
            order_id: unlike any other; made here unless given.
            api_key_id: the personal API key that asked; None: the signed-in user.

        Raises:
            UnsupportedFormat: it is no recording.
            ChukError: as `heard`.
        """
        found = await asyncio.to_thread(detect_file, path, name)
        if found not in AUDIO:
            raise UnsupportedFormat(found.value if found else ending_of(name), SUPPORTED)
        sound = Sound(path, found)
        return await self.heard(user_id, sound, hints, order_id=order_id, api_key_id=api_key_id)

    async def transcript(self, user_id: UUID, sound: Sound, api_key_id: UUID | None = None) -> str:
        """See `chuk.media.ports.Listener.transcript`."""
        return (await self.heard(user_id, sound, Hints(), api_key_id=api_key_id)).text

    async def heard(
        self,
        user_id: UUID,
        sound: Sound,
        hints: Hints,
        *,
        order_id: str | None = None,
        api_key_id: UUID | None = None,
    ) -> Transcript:
        """Write a recording down.

        Raises:
            InvalidRequest: nobody here understands the language.
            FileTooLarge: it is too long.
            CorruptFile: there is no sound in it that can be decoded.
            ProviderTimeout: it took longer than `Bounds.timeout`.
            ServiceUnavailable: too many wait.
            ChukError: as `Credits.open` and `Recogniser.recognised`.
        """
        if hints.language is not None and hints.language not in self.languages:
            known = ", ".join(sorted(self.languages))
            raise InvalidRequest.field("language", f"Only {known} is understood on this server.")
        until = asyncio.get_running_loop().time() + self._bounds.timeout
        async with AsyncExitStack() as stack:
            async with _before(until), self._decoding.slot(user_id):
                recording = await stack.enter_async_context(self._decoder.decoded(sound))
            await self._check_length(recording, sound)
            cost = self._cost(recording)
            order = self._order(user_id, cost, order_id, api_key_id)
            async with self._credits.hold(order) as payment:
                transcript = await self._recognised(user_id, recording, hints, until)
                await payment.settle(cost, self._usage(order, recording))
        return transcript

    async def _check_length(self, recording: Recording, sound: Sound) -> None:
        most = self._bounds.max_seconds
        if recording.seconds < most + 1:
            return
        size = await asyncio.to_thread(lambda: sound.path.stat().st_size)
        error = FileTooLarge(
            self._bounds.max_bytes,
            size,
            f"This recording is longer than the {most / 60:g} minutes allowed.",
        )
        error.details["max_duration_seconds"] = most
        raise error

    async def _recognised(
        self, user_id: UUID, recording: Recording, hints: Hints, until: float
    ) -> Transcript:
        recogniser = self._recogniser
        if recording.is_silent:
            # A recogniser would make words up.
            return Transcript("", recogniser.model_id, recording.seconds, hints.language, ())
        turn = nullcontext() if self._listening is None else self._listening.slot(user_id)
        async with _before(until), turn:
            return await recogniser.recognised(recording, hints)

    def _cost(self, recording: Recording) -> MicroEuro:
        if recording.is_silent:
            return MicroEuro(0)
        return micro_euro_ceiling(self._price * recording.started_seconds)

    def _order(
        self, user_id: UUID, cost: MicroEuro, order_id: str | None, api_key_id: UUID | None
    ) -> Order:
        return Order(
            id=order_id or f"stt_{uuid4().hex}",
            user_id=user_id,
            operation=Operation.TRANSCRIPTION,
            model_id=self._recogniser.model_id,
            provider_slug=self._recogniser.provider_slug,
            at_most=cost,
            at_least=cost,
            is_zdr=self._recogniser.is_zdr,
            api_key_id=api_key_id,
        )

    def _usage(self, order: Order, recording: Recording) -> UsageRecord:
        return UsageRecord(
            model_id=order.model_id,
            provider_slug=order.provider_slug,
            prompt_tokens=0,
            completion_tokens=0,
            # What is counted here: seconds.
            total_tokens=recording.started_seconds,
            cost_usd=self._credits.prices.in_dollars(order.at_most),
            outcome=Outcome.COMPLETED,
            basis=Basis.ESTIMATE if order.at_most else Basis.NOTHING,
            is_zdr=order.is_zdr,
        )


@asynccontextmanager
async def _before(until: float) -> AsyncIterator[None]:
    """Let the block take no longer than until then.

    Raises:
        ProviderTimeout: it did.
    """
    try:
        async with asyncio.timeout_at(until):
            yield
    except TimeoutError:
        raise ProviderTimeout(TOO_SLOW) from None
