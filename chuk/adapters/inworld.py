"""Inworld's voices: text in, audio as it is made.

https://docs.inworld.ai/api-reference/ttsAPI/texttospeech/synthesize-speech-stream

The answer is one JSON object a line: `result` with a piece of audio, or `error`, which ends it.
Of `LINEAR16` every piece is a WAV file of its own; here they become one.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import AsyncGenerator, Mapping

import aiohttp
import orjson

from chuk.adapters.refusals import refusal, retry_after_seconds
from chuk.adapters.wav import samples_of, streamed_header
from chuk.errors import (
    ChukError,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
)
from chuk.media.utterance import AudioEncoding, Utterance

_MAX_LINE = 8 * 2**20
# The codes of gRPC that say more than "it failed", as the statuses that mean the same.
# https://grpc.io/docs/guides/status-codes/
_STATUSES = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 14: 503, 16: 401}


class Inworld:
    """Speaks through Inworld.

    Args:
        session: shared; it is not closed here.
        base_url: ends before `/tts/v1`.
        api_key: as Inworld shows it: already in Base64.
        silence: seconds without a byte, after which it is given up.
    """

    provider_slug = "inworld"
    # It keeps nothing only for those who have agreed so with it.
    is_zdr = False

    def __init__(
        self, session: aiohttp.ClientSession, *, base_url: str, api_key: str, silence: float
    ) -> None:
        self._session = session
        self._url = f"{base_url.rstrip('/')}/tts/v1/voice:stream"
        self._headers = {"Authorization": f"Basic {api_key}", "Content-Type": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=silence, sock_read=silence)

    def voice_for(self, voice_id: str) -> str:
        """See `chuk.media.ports.Voice.voice_for`."""
        return voice_id

    def model_for(self, model_id: str) -> str:
        """See `chuk.media.ports.Voice.model_for`."""
        return model_id

    async def speak(self, utterance: Utterance) -> AsyncGenerator[bytes, None]:
        """See `chuk.media.ports.Voice.speak`."""
        try:
            async with self._session.post(
                self._url,
                data=_request(utterance),
                headers=self._headers,
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                if response.status != 200:
                    wait = retry_after_seconds(response.headers.get("Retry-After"))
                    raise _refused(response.status, wait)
                lines, whole = _Lines(), _Whole(utterance.encoding)
                async for chunk in response.content.iter_any():
                    for line in lines.add(chunk):
                        if part := whole.part(_audio(line)):
                            yield part
                if part := whole.part(_audio(lines.end())):
                    yield part
        except TimeoutError:
            raise ProviderTimeout(_SLOW) from None
        except aiohttp.ClientConnectorError:
            raise ServiceUnavailable(_AWAY) from None
        except aiohttp.ClientError:
            # For one, an answer that breaks off, or never begins.
            raise ProviderError(_FAILED) from None


_SLOW = "The voice took too long to answer."
_AWAY = "This voice is not available right now."
_FAILED = "The voice could not speak this. Please try again."


def _request(utterance: Utterance) -> bytes:
    return orjson.dumps(
        {
            "text": utterance.text,
            "voiceId": utterance.voice_id,
            "modelId": utterance.model_id,
            "audioConfig": {
                "audioEncoding": utterance.encoding.value,
                "sampleRateHertz": utterance.sample_rate,
            },
        }
    )


class _Lines:
    """Cuts what arrives into lines."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def add(self, chunk: bytes) -> list[bytes]:
        """The lines that are whole now."""
        self._rest += chunk
        lines: list[bytes] = []
        if b"\n" in chunk:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
        if len(self._rest) > _MAX_LINE:
            raise ProviderError(_FAILED)
        return lines

    def end(self) -> bytes:
        """The last line, which needs no end."""
        return bytes(self._rest)


class _Whole:
    """Makes one file of the pieces.

    MP3 and Opus may just follow each other; of WAV files the headers are taken off, and one
    without a length comes first.
    """

    def __init__(self, encoding: AudioEncoding) -> None:
        self._is_wav = encoding is AudioEncoding.LINEAR16
        self._rate = 0
        self._has_begun = False

    def part(self, piece: bytes) -> bytes:
        """What the piece adds; may be empty."""
        if not piece or not self._is_wav:
            return piece
        try:
            samples = samples_of(piece)
        except ValueError:
            raise ProviderError(_FAILED) from None
        self._rate = self._rate or samples.sample_rate
        # The first one must say at which rate it is, and no other may say otherwise.
        if not self._rate or samples.sample_rate not in (0, self._rate):
            raise ProviderError(_FAILED)
        if self._has_begun or not samples.data:
            return samples.data
        self._has_begun = True
        return streamed_header(self._rate) + samples.data


def _audio(line: bytes) -> bytes:
    """The audio of one line; empty where it has none."""
    if not line.strip():
        return b""
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise ProviderError(_FAILED) from None
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        raise _refused(_status(error), None)
    result = document.get("result") if isinstance(document, dict) else None
    content = result.get("audioContent", "") if isinstance(result, dict) else None
    if not isinstance(content, str):
        raise ProviderError(_FAILED)
    try:
        return b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise ProviderError(_FAILED) from None


def _status(error: Mapping[str, object]) -> int:
    code = error.get("code")
    return _STATUSES.get(code, 500) if isinstance(code, int) else 500


def _refused(status: int, wait: int | None) -> ChukError:
    """The contract's error, in words of voices: the usual ones speak of models."""
    error = refusal(status, {}, "", retry_after=wait)
    if isinstance(error, ModelUnavailable):
        return ModelUnavailable(_AWAY, retry_after=wait)
    return ProviderTimeout(_SLOW) if isinstance(error, ProviderTimeout) else ProviderError(_FAILED)
