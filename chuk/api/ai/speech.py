"""`POST /v1/ai/inworld-tts`: a text, spoken; the audio comes as it is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate, validates_schema

from chuk.accounts.principal import Scope
from chuk.api.fields import WholeNumber
from chuk.api.keys import SPEECH
from chuk.api.spoken_answer import spoken_answer
from chuk.errors import (
    FeatureDisabled,
    GenerationFailed,
    InsufficientCredits,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    QuotaExceeded,
    UnsupportedFormat,
)
from chuk.media.utterance import HIGHEST_RATE, LOWEST_RATE, TEXT_MAX, AudioEncoding, Utterance
from chuk.web.bodies import FORM, JSON, MULTIPART, read_form
from chuk.web.keys import SETTINGS
from chuk.web.routes import Route
from chuk.web.validation import checked, typed

OFF = "Speech is switched off on this server."
DEFAULT_VOICE = "Ashley"
DEFAULT_MODEL = "inworld-tts-1"
# The first that the contract names, the one that knows every rate, and what every player plays.
DEFAULT_ENCODING = AudioEncoding.LINEAR16
DEFAULT_RATE = 48_000
_MAX_BODY = 65_536
_NUMBERS = frozenset({"sample_rate_hz"})


def _named(value: str | None) -> None:
    if value is not None and (not 1 <= len(value) <= 200 or not value.isprintable()):
        raise ValidationError("Must have between 1 and 200 characters that can be printed.")


def _not_blank(value: str) -> None:
    if not value.strip():
        raise ValidationError("Must not be blank.")


class SpeechRequest(Schema):
    """A text to speak."""

    class Meta:
        unknown = EXCLUDE

    text = fields.Str(required=True, validate=[validate.Length(min=1, max=TEXT_MAX), _not_blank])
    voice_id = fields.Str(
        allow_none=True,
        load_default=DEFAULT_VOICE,
        validate=_named,
        metadata={
            "description": "One of Inworld's. The embedded voice is only one and speaks for all "
            "of them; the answer's `X-Voice` names the one that spoke."
        },
    )
    model_id = fields.Str(allow_none=True, load_default=DEFAULT_MODEL, validate=_named)
    audio_encoding = fields.Enum(
        AudioEncoding,
        by_value=True,
        allow_none=True,
        load_default=DEFAULT_ENCODING,
        metadata={
            "description": "LINEAR16 is a WAV file of 16-bit mono samples. It is streamed, so the "
            "lengths in its header are 2^32 - 1: read it to its end."
        },
    )
    sample_rate_hz = WholeNumber(
        allow_none=True,
        load_default=DEFAULT_RATE,
        validate=validate.Range(min=LOWEST_RATE, max=HIGHEST_RATE),
        metadata={
            "description": "LINEAR16: any of the range. MP3: 8000, 11025, 12000, 16000, 22050, "
            "24000, 32000, 44100 or 48000. OGG_OPUS: 8000, 12000, 16000, 24000 or 48000."
        },
    )

    @validates_schema
    def _rate_is_known(self, data: Mapping[str, Any], **_: Any) -> None:
        encoding = data["audio_encoding"] or DEFAULT_ENCODING
        rate, known = data["sample_rate_hz"] or DEFAULT_RATE, encoding.sample_rates
        if known is not None and rate not in known:
            rates = ", ".join(map(str, known))
            raise ValidationError(f"{encoding} knows only {rates}.", "sample_rate_hz")


_REQUEST = SpeechRequest()


async def speak(request: web.Request) -> web.StreamResponse:
    """Speak a text to the client.

    What fails before the first sound is a plain error. Afterwards the connection is cut inside
    the body, so that nobody takes half a text for the whole.
    """
    speech = request.config_dict.get(SPEECH)
    if speech is None:
        raise FeatureDisabled(OFF)
    return await spoken_answer(request, speech, await _utterance(request))


async def _utterance(request: web.Request) -> Utterance:
    settings = request.config_dict[SETTINGS]
    form = await read_form(request, max_bytes=_MAX_BODY, timeout=settings.server.body_timeout)
    numbers = typed(form, numbers=_NUMBERS, booleans=frozenset(), json=frozenset())
    values = checked(_REQUEST, numbers)
    return Utterance(
        text=values["text"],
        voice_id=values["voice_id"] or DEFAULT_VOICE,
        model_id=values["model_id"] or DEFAULT_MODEL,
        encoding=values["audio_encoding"] or DEFAULT_ENCODING,
        sample_rate=values["sample_rate_hz"] or DEFAULT_RATE,
    )


ROUTES = [
    Route(
        "POST",
        "/inworld-tts",
        speak,
        "A text, spoken; the audio comes as it is made",
        "media",
        scope=Scope.AUDIO,
        bucket="speech",
        max_body=_MAX_BODY,
        request=SpeechRequest,
        request_types=(JSON, MULTIPART, FORM),
        media_type=tuple(encoding.media_type for encoding in AudioEncoding),
        errors=(
            InsufficientCredits,
            QuotaExceeded,
            UnsupportedFormat,
            GenerationFailed,
            ProviderError,
            ModelUnavailable,
            FeatureDisabled,
            ProviderTimeout,
        ),
    )
]
