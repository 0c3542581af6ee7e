"""Groq's Whisper, through Groq's own client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, BinaryIO

import aiohttp
import groq
import httpx
import orjson
from groq import AsyncGroq
from httpx_aiohttp import AiohttpTransport

from chuk.adapters.bounded_transport import BoundedTransport
from chuk.adapters.refusals import refusal, retry_after_seconds
from chuk.errors import (
    ChukError,
    CorruptFile,
    FileTooLarge,
    ModelUnavailable,
    ProviderTimeout,
    TranscriptionFailed,
)
from chuk.media.formats import AUDIO, Format
from chuk.media.languages import LANGUAGES, code_of
from chuk.media.recording import Hints, Recording, Segment, Transcript

READS = AUDIO - {Format.AAC}
"""The formats that it takes as they are."""

# It refuses longer ones; of a longer one Whisper would use the end.
_LONGEST_PROMPT = 896
# Of the longest recording every word with its times is a tenth of this.
_MAX_ANSWER = 16 * 2**20
_NO_CAPACITY = 498
_OUR_ACCOUNT = frozenset({401, 402, 403})
# What the same request may get an answer to a moment later.
_PASSING = frozenset({500, 502})


class Groq:
    """Listens through Groq.

    Args:
        base_url: before `/openai/v1`.
        connect_timeout, timeout: seconds to connect, and for the whole of one recording.
    """

    provider_slug = "groq"
    is_zdr = False
    languages = LANGUAGES

    def __init__(
        self, *, api_key: str, base_url: str, model: str, connect_timeout: float, timeout: float
    ) -> None:
        self.model_id = model
        self._client = AsyncGroq(
            api_key=api_key,
            base_url=base_url.rstrip("/").removesuffix("/openai/v1"),
            timeout=groq.Timeout(timeout, connect=connect_timeout),
            # Its own retries sleep as long as it is told to, while somebody waits.
            max_retries=0,
            http_client=httpx.AsyncClient(
                transport=BoundedTransport(AiohttpTransport(), most_bytes=_MAX_ANSWER),
                follow_redirects=False,
                trust_env=False,
            ),
        )

    async def recognised(self, recording: Recording, hints: Hints) -> Transcript:
        """See `chuk.media.ports.Recogniser.recognised`."""
        file = await asyncio.to_thread(recording.path.open, "rb")
        try:
            size = await asyncio.to_thread(lambda: recording.path.stat().st_size)
            try:
                body = await self._answer(file, recording, hints)
            except groq.APIStatusError as error:
                raise self._refusal(error, size) from None
            except groq.APIConnectionError as error:
                raise _unreachable(error) from None
        finally:
            await asyncio.to_thread(file.close)
        return _transcript(body, self.model_id, recording)

    async def close(self) -> None:
        """Close its connections. Idempotent."""
        await self._client.close()

    async def check(self) -> str:
        """Ask for the model, which needs a key that is accepted; for the operator."""
        try:
            found = await self._client.models.retrieve(self.model_id)
        except groq.APIStatusError as error:
            return f"refused with status {error.status_code}"
        except groq.APIConnectionError:
            return "cannot be reached"
        return f"has {found.id}"

    async def _answer(self, file: BinaryIO, recording: Recording, hints: Hints) -> bytes:
        """The body of its answer; asks once more where that may help."""
        try:
            return await self._asked(file, recording, hints)
        except groq.APIStatusError as error:
            if error.status_code not in _PASSING:
                raise
        except groq.APIConnectionError as error:
            if not isinstance(_unreachable(error), TranscriptionFailed):
                raise
        return await self._asked(file, recording, hints)

    async def _asked(self, file: BinaryIO, recording: Recording, hints: Hints) -> bytes:
        # In pieces from the file: never the whole of it in memory. Its owner's name for it stays
        # here.
        await asyncio.to_thread(file.seek, 0)
        assert recording.format is not None
        answer = await self._client.audio.transcriptions.with_raw_response.create(
            model=self.model_id,
            file=(f"audio.{recording.format}", file, "application/octet-stream"),
            response_format="verbose_json",
            temperature=hints.temperature,
            **_given(hints),
        )
        return await answer.read()

    def _refusal(self, error: groq.APIStatusError, size: int) -> ChukError:
        """What a status means to whoever sent the recording."""
        status = error.status_code
        retry_after = retry_after_seconds(error.response.headers.get("retry-after"))
        if status == _NO_CAPACITY:
            return ModelUnavailable(retry_after=retry_after)
        if status == 413:
            return FileTooLarge(size - 1, size, "This recording is too large to be transcribed.")
        if status == 400 and "media" in error.message:
            # "Could not process file - is it a valid media file?"
            return CorruptFile()
        found = refusal(status, {}, self.model_id, retry_after=retry_after)
        is_ours = status in _OUR_ACCOUNT or found.status != 502
        return found if is_ours else TranscriptionFailed()


def _given(hints: Hints) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if hints.prompt:
        given["prompt"] = hints.prompt[-_LONGEST_PROMPT:]
    if hints.language is not None:
        given["language"] = hints.language
    return given


def _unreachable(error: groq.APIConnectionError) -> ChukError:
    """What became of a request without an answer.

    The layers between call a broken connection a timeout too, so what really happened is asked.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, aiohttp.ClientConnectorError):
            return ModelUnavailable()
        if isinstance(cause, aiohttp.ServerTimeoutError):
            return ProviderTimeout()
        cause = cause.__cause__
    return TranscriptionFailed()


def _transcript(body: bytes, model: str, recording: Recording) -> Transcript:
    """Read an answer; what is not as agreed is a failure, never an empty text.

    Raises:
        TranscriptionFailed: it makes no sense.
    """
    try:
        answer = orjson.loads(body)
        language = answer.get("language")
        return Transcript(
            text=_text(answer["text"]),
            model=model,
            seconds=recording.seconds,
            language=None if language is None else code_of(language),
            segments=tuple(_segment(part) for part in answer.get("segments") or ()),
        )
    except (orjson.JSONDecodeError, LookupError, AttributeError, TypeError, ValueError):
        raise TranscriptionFailed from None


def _segment(part: Mapping[str, Any]) -> Segment:
    return Segment(float(part["start"]), float(part["end"]), _text(part["text"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value.strip()
