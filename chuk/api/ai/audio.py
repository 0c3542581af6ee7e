"""`POST /v1/ai/transcribe-audio`: a recording, written down."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import PurePath
from typing import Any

from aiohttp import web
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from chuk.accounts.principal import Scope
from chuk.api.fields import Number
from chuk.api.keys import TRANSCRIPTIONS
from chuk.api.once import answered_once, idempotency_key
from chuk.errors import (
    CorruptFile,
    FeatureDisabled,
    InsufficientCredits,
    ModelUnavailable,
    ProviderTimeout,
    QuotaExceeded,
    ServiceUnavailable,
    TranscriptionFailed,
    UnsupportedFormat,
)
from chuk.idempotency.fingerprint import file_hash
from chuk.media.languages import LANGUAGES
from chuk.media.recording import Hints, Transcript
from chuk.media.transcribe import SUPPORTED
from chuk.settings import Settings
from chuk.web.bodies import MULTIPART, Form
from chuk.web.envelope import render_data
from chuk.web.keys import PRINCIPAL, SETTINGS
from chuk.web.routes import Route
from chuk.web.uploads import ROOM_FOR_THE_FORM, read_upload
from chuk.web.validation import checked, typed

OFF = "Transcription is switched off on this server."
_PART = "audio_file"
_MAX_PROMPT = 4_000
_NUMBERS = frozenset({"temperature"})
_NONE: frozenset[str] = frozenset()


def _known(value: str | None) -> None:
    if value is not None and value not in LANGUAGES:
        raise ValidationError("Must be an ISO 639-1 code of a language that can be recognised.")


class HintFields(Schema):
    """What may be told beforehand. Empty is as good as absent."""

    class Meta:
        unknown = EXCLUDE

    prompt = fields.Str(
        load_default="",
        validate=validate.Length(max=_MAX_PROMPT),
        metadata={"description": "Words and names that are likely; of a long one, the end counts."},
    )
    language = fields.Str(
        load_default=None,
        allow_none=True,
        validate=_known,
        metadata={"description": "ISO 639-1; without it, the recogniser finds out."},
    )
    temperature = Number(load_default=0.0, validate=validate.Range(min=0, max=1))


class TranscriptionRequest(HintFields):
    """A form with one recording."""

    audio_file = fields.Raw(
        required=True,
        metadata={
            "type": "string",
            "format": "binary",
            "description": "What it is, is decided by its content, then by its name; the part's "
            "content type is ignored.",
        },
    )


class TranscriptSegment(Schema):
    """A part of it; seconds from the beginning."""

    start = fields.Float(required=True)
    end = fields.Float(required=True)
    text = fields.Str(required=True)


class TranscriptMetadata(Schema):
    """How it was heard."""

    model = fields.Str(required=True)
    duration = fields.Float(
        required=True, metadata={"description": "Seconds, measured by decoding the recording."}
    )
    language = fields.Str(required=True, allow_none=True)
    segments = fields.List(fields.Nested(TranscriptSegment), required=True)


class GroqObject(Schema):
    """Named so whoever transcribes."""

    metadata = fields.Nested(TranscriptMetadata, required=True)


class Transcription(Schema):
    """What was said."""

    text = fields.Str(required=True, metadata={"description": "Empty where nothing was said."})
    x_groq = fields.Nested(GroqObject, required=True)


_HINTS = HintFields()


async def transcribe_audio(request: web.Request) -> web.StreamResponse:
    """Take one recording in and answer with its text.

    A client that leaves ends the work, unless it has a key to come back with.
    """
    services = request.config_dict
    transcriptions = services.get(TRANSCRIPTIONS)
    if transcriptions is None:
        raise FeatureDisabled(OFF)
    media = services[SETTINGS].media
    async with read_upload(
        request, part=_PART, max_bytes=media.audio_max_bytes, timeout=media.upload_timeout
    ) as upload:
        hints, principal = _hints(upload.fields), request[PRINCIPAL]

        async def transcribe(order_id: str | None) -> dict[str, Any]:
            # With a key the work may go on when this request, and its file with it, is gone.
            with upload.lasting() if order_id else nullcontext(upload.path) as path:
                transcript = await transcriptions.transcribe(
                    principal.user_id,
                    path,
                    upload.name,
                    hints,
                    order_id=order_id,
                    api_key_id=principal.api_key_id,
                )
            return _answer(transcript)

        meaning = None
        if idempotency_key(request) is not None:
            # Of its name only the end counts: a client that tries again may make up another.
            ending = PurePath(upload.name).suffix.lower()
            meaning = [await file_hash(upload.path), ending, hints]
        answer = await answered_once(request, "transcription", meaning, transcribe)
    return render_data(request, answer.data, headers=answer.headers)


def _hints(texts: Mapping[str, str]) -> Hints:
    given = {name: text.strip() for name, text in texts.items() if text.strip()}
    if "language" in given:
        given["language"] = given["language"].lower()
    form = Form(values=dict(given), is_typed=False)
    values = checked(_HINTS, typed(form, numbers=_NUMBERS, booleans=_NONE, json=_NONE))
    return Hints(values["prompt"], values["language"], values["temperature"])


def _answer(transcript: Transcript) -> dict[str, Any]:
    metadata = {
        "model": transcript.model,
        "duration": round(transcript.seconds, 3),
        "language": transcript.language,
        "segments": [
            {"start": part.start, "end": part.end, "text": part.text}
            for part in transcript.segments
        ],
    }
    return {"text": transcript.text, "x_groq": {"metadata": metadata}}


def audio_routes(settings: Settings) -> list[Route]:
    """What this server does with recordings."""
    media = settings.media
    return [
        Route(
            "POST",
            "/transcribe-audio",
            transcribe_audio,
            f"A recording ({', '.join(SUPPORTED)}), written down",
            "media",
            scope=Scope.AUDIO,
            bucket="audio",
            max_body=media.audio_max_bytes + ROOM_FOR_THE_FORM,
            max_file=media.audio_max_bytes,
            request=TranscriptionRequest,
            request_types=(MULTIPART,),
            response=Transcription,
            takes_key=True,
            errors=(
                CorruptFile,
                InsufficientCredits,
                QuotaExceeded,
                UnsupportedFormat,
                TranscriptionFailed,
                ServiceUnavailable,
                ModelUnavailable,
                FeatureDisabled,
                ProviderTimeout,
            ),
        )
    ]
