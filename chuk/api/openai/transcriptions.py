"""`POST /v1/audio/transcriptions`: a recording written down, in OpenAI's forms."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import orjson
from aiohttp import web
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from chuk.api.fields import Number
from chuk.api.keys import TRANSCRIPTIONS
from chuk.api.once import answered_once, idempotency_key
from chuk.errors import FeatureDisabled
from chuk.idempotency.fingerprint import file_hash
from chuk.media.languages import LANGUAGES, name_of
from chuk.media.recording import Hints, Segment, Transcript
from chuk.web.bodies import Form
from chuk.web.envelope import render_data
from chuk.web.keys import PRINCIPAL, SETTINGS
from chuk.web.uploads import read_upload
from chuk.web.validation import checked, typed

_PART = "file"
_MAX_PROMPT = 4_000
_FORMS = ("json", "text", "srt", "verbose_json", "vtt")
_WORDS_OFF = "Only segments have times here; words do not."


def _known(value: str | None) -> None:
    if value is not None and value.lower() not in LANGUAGES:
        raise ValidationError("Must be an ISO 639-1 code of a language that can be recognised.")


class TranscriptionFields(Schema):
    """What goes with a recording."""

    class Meta:
        unknown = EXCLUDE

    model = fields.Str(
        required=True,
        validate=validate.Length(min=1, max=200),
        metadata={"description": "Any name: there is one recogniser."},
    )
    language = fields.Str(load_default=None, allow_none=True, validate=_known)
    prompt = fields.Str(load_default="", validate=validate.Length(max=_MAX_PROMPT))
    response_format = fields.Str(load_default="json", validate=validate.OneOf(_FORMS))
    temperature = Number(load_default=0.0, validate=validate.Range(min=0, max=1))
    granularities = fields.Str(
        data_key="timestamp_granularities[]",
        load_default="segment",
        validate=validate.OneOf(["segment"], error=_WORDS_OFF),
    )
    stream = fields.Bool(
        load_default=False,
        truthy={True},
        falsy={False},
        validate=validate.Equal(False, error="Transcripts are not streamed here."),
    )
    include = fields.Str(
        data_key="include[]",
        load_default="",
        validate=validate.Equal("", error="Nothing more than the text can be included."),
    )


class TranscriptionForm(TranscriptionFields):
    """A form with one recording."""

    file = fields.Raw(required=True, metadata={"type": "string", "format": "binary"})


class TranscriptionAnswer(Schema):
    """The text; with `verbose_json` its language, length and segments too."""

    text = fields.Str(required=True)
    usage = fields.Dict(keys=fields.Str())
    task = fields.Str()
    language = fields.Str()
    duration = fields.Float()
    segments = fields.List(fields.Dict(keys=fields.Str()))


_FIELDS = TranscriptionFields()


async def transcriptions(request: web.Request) -> web.StreamResponse:
    """Take one recording in and answer with its text, in the form that was asked for.

    A client that leaves ends the work, unless it has a key to come back with.
    """
    services = request.config_dict
    service = services.get(TRANSCRIPTIONS)
    if service is None:
        raise FeatureDisabled("Transcription is switched off on this server.")
    media = services[SETTINGS].media
    async with read_upload(
        request, part=_PART, max_bytes=media.audio_max_bytes, timeout=media.upload_timeout
    ) as upload:
        values = _values(upload.fields)
        hints = Hints(values["prompt"], values["language"], values["temperature"])
        form, principal = values["response_format"], request[PRINCIPAL]

        async def transcribe(order_id: str | None) -> Any:
            with upload.lasting() as path:
                transcript = await service.transcribe(
                    principal.user_id,
                    path,
                    upload.name,
                    hints,
                    order_id=order_id,
                    api_key_id=principal.api_key_id,
                )
            return _formed(transcript, form, hints)

        meaning = None
        if idempotency_key(request) is not None:
            ending = PurePath(upload.name).suffix.lower()
            meaning = [await file_hash(upload.path), ending, hints, form]
        answer = await answered_once(request, "audio/transcriptions", meaning, transcribe)
    if form in ("json", "verbose_json"):
        return render_data(request, answer.data, headers=answer.headers)
    # What was kept under a key is JSON.
    text: str = orjson.loads(orjson.dumps(answer.data))
    kind = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}[form]
    return web.Response(
        text=text, headers={**answer.headers, "Content-Type": f"{kind}; charset=utf-8"}
    )


def _values(texts: dict[str, str]) -> dict[str, Any]:
    given = {name: text for name, text in texts.items() if text.strip()}
    form = Form(values=dict(given), is_typed=False)
    values = checked(
        _FIELDS,
        typed(
            form,
            numbers=frozenset({"temperature"}),
            booleans=frozenset({"stream"}),
            json=frozenset(),
        ),
    )
    if values["language"] is not None:
        values["language"] = values["language"].lower()
    return values


def _formed(transcript: Transcript, form: str, hints: Hints) -> Any:
    match form:
        case "text":
            return f"{transcript.text}\n"
        case "srt":
            return subrip(transcript.segments)
        case "vtt":
            return web_vtt(transcript.segments)
    answer: dict[str, Any] = {
        "text": transcript.text,
        "usage": {"type": "duration", "seconds": round(transcript.seconds, 3)},
    }
    if form == "verbose_json":
        answer |= {
            "task": "transcribe",
            "language": name_of(transcript.language or ""),
            "duration": round(transcript.seconds, 3),
            "segments": [
                _segment(number, part, hints) for number, part in enumerate(transcript.segments)
            ],
        }
    return answer


def _segment(number: int, part: Segment, hints: Hints) -> dict[str, Any]:
    """A segment as OpenAI says it. How sure it is of itself is not known here: all of that is 0."""
    return {
        "id": number,
        "seek": 0,
        "start": part.start,
        "end": part.end,
        "text": part.text,
        "tokens": [],
        "temperature": hints.temperature,
        "avg_logprob": 0.0,
        "compression_ratio": 0.0,
        "no_speech_prob": 0.0,
    }


def subrip(segments: tuple[Segment, ...]) -> str:
    """Segments as SubRip subtitles."""
    blocks = [
        f"{number}\n{_moment(part.start, ',')} --> {_moment(part.end, ',')}\n{part.text.strip()}\n"
        for number, part in enumerate(segments, 1)
    ]
    return "\n".join(blocks)


def web_vtt(segments: tuple[Segment, ...]) -> str:
    """Segments as WebVTT subtitles (https://www.w3.org/TR/webvtt1/)."""
    blocks = [
        f"{_moment(part.start, '.')} --> {_moment(part.end, '.')}\n{_cue(part.text)}\n"
        for part in segments
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _cue(text: str) -> str:
    return text.strip().replace("&", "&amp;").replace("<", "&lt;").replace("-->", "--&gt;")


def _moment(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
