"""`POST /v1/audio/speech`: a text, spoken, as OpenAI's clients ask for it."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from chuk.api.fields import Number
from chuk.api.keys import SPEECH
from chuk.api.spoken_answer import spoken_answer
from chuk.errors import FeatureDisabled
from chuk.media.utterance import TEXT_MAX, AudioEncoding, Utterance
from chuk.web.bodies import parse_json_object, read_body
from chuk.web.keys import SETTINGS
from chuk.web.validation import checked

MAX_BODY = 65_536
_MODEL = "inworld-tts-1"
_OUR_MODELS = "inworld-"
_PCM_RATE = 24_000
_OTHER_RATE = 48_000
_ENCODINGS = {
    "mp3": AudioEncoding.MP3,
    "opus": AudioEncoding.OGG_OPUS,
    "wav": AudioEncoding.LINEAR16,
    "pcm": AudioEncoding.LINEAR16,
}
# For OpenAI's names voices of Inworld's that sound alike; every other name is taken for one.
_VOICES = {
    "alloy": "Ashley",
    "ash": "Mark",
    "ballad": "Theodore",
    "cedar": "Craig",
    "coral": "Sarah",
    "echo": "Alex",
    "fable": "Ronald",
    "marin": "Olivia",
    "nova": "Deborah",
    "onyx": "Edward",
    "sage": "Elizabeth",
    "shimmer": "Julia",
    "verse": "Dennis",
}


class VoiceName(fields.Field[str]):
    """A voice's name, or an object with it as its id."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        name = value.get("id") if isinstance(value, dict) else value
        if not isinstance(name, str) or not 1 <= len(name) <= 200 or not name.isprintable():
            raise ValidationError("Must be the name of a voice.")
        return name


def _not_blank(value: str) -> None:
    if not value.strip():
        raise ValidationError("Must not be blank.")


class SpeechFields(Schema):
    """A text to speak. `instructions` are ignored."""

    class Meta:
        unknown = EXCLUDE

    model = fields.Str(required=True, validate=validate.Length(min=1, max=200))
    input = fields.Str(required=True, validate=[validate.Length(min=1, max=TEXT_MAX), _not_blank])
    voice = VoiceName(
        required=True,
        metadata={"description": "One of OpenAI's, for which one alike speaks, or Inworld's."},
    )
    response_format = fields.Str(
        load_default="mp3", allow_none=True, validate=validate.OneOf(_ENCODINGS)
    )
    speed = Number(
        load_default=1.0,
        allow_none=True,
        validate=validate.Equal(1.0, error="Only the usual speed, 1, is spoken here."),
    )
    stream_format = fields.Str(
        load_default="audio",
        allow_none=True,
        validate=validate.Equal("audio", error="Only audio is streamed here, no events."),
    )


_FIELDS = SpeechFields()


async def speech(request: web.Request) -> web.StreamResponse:
    """Speak a text to the client."""
    services = request.config_dict
    service = services.get(SPEECH)
    if service is None:
        raise FeatureDisabled("Speech is switched off on this server.")
    timeout = services[SETTINGS].server.body_timeout
    raw = await read_body(request, max_bytes=MAX_BODY, timeout=timeout)
    values = checked(_FIELDS, parse_json_object(raw))
    form, model = values["response_format"] or "mp3", values["model"]
    utterance = Utterance(
        text=values["input"],
        voice_id=_VOICES.get(values["voice"], values["voice"]),
        # OpenAI's names for models mean nothing to the voice.
        model_id=model if model.startswith(_OUR_MODELS) else _MODEL,
        encoding=_ENCODINGS[form],
        # What OpenAI's raw samples are, and clients play without being told.
        sample_rate=_PCM_RATE if form == "pcm" else _OTHER_RATE,
    )
    if form == "pcm":
        return await spoken_answer(
            request, service, utterance, media_type="audio/pcm", rewritten=Samples().of
        )
    return await spoken_answer(request, service, utterance)


class Samples:
    """The samples of a WAV file that comes in pieces, without what stands before them."""

    def __init__(self) -> None:
        self._head: bytes | None = b""

    def of(self, piece: bytes) -> bytes:
        """The samples in the next piece."""
        if self._head is None:
            return piece
        self._head += piece
        place = self._start(self._head)
        if place is None:
            return b""
        samples, self._head = self._head[place:], None
        return samples

    @staticmethod
    def _start(head: bytes) -> int | None:
        """Where the samples begin; None: that is not here yet."""
        place = 12
        while len(head) >= place + 8:
            if head[place : place + 4] == b"data":
                return place + 8
            size = int.from_bytes(head[place + 4 : place + 8], "little")
            # Chunks are padded to an even length.
            place += 8 + size + size % 2
        return None
