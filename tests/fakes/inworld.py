"""A stateful stand-in for Inworld's voices, over their real protocol.

    async with FakeInworld() as fake:
        fake.script(Answer(break_after=1))
        ...  # point the code under test at fake.base_url with fake.api_key
        await fake.wait_for_disconnect()

Without a script it speaks a piece of audio for each word. It refuses what the real one refuses: a
wrong key, an unknown voice or model, an empty text or one over 2,000 characters.
"""

from __future__ import annotations

import asyncio
import io
import struct
import wave
from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.service import FakeService

_PATH = "/tts/v1/voice:stream"
_SAMPLES = 480
# https://grpc.io/docs/guides/status-codes/, and the HTTP statuses that go with them.
_STATUSES = {3: 400, 5: 404, 16: 401}


@dataclass
class Answer:
    """How one text is spoken. What is not said here goes as usual.

    A piece is one line of the answer; pieces are counted from 0.

    Attributes:
        pieces: the audio of each piece; None: one for each word, in the encoding asked for.
        raw: written verbatim, one write each, instead of lines with pieces.
        status, headers: a status other than 200 answers with an error at once.
        error: an error object in the stream, sent instead of piece number `error_after`, which
            ends it.
        break_after: the connection breaks after this many pieces.
        stall_after: silence after this many pieces, until `fake.release` is set.
        gates: before piece number n, wait for this event.
        never_answer: not even headers, until `fake.release` is set.
    """

    pieces: Iterable[bytes] | None = None
    raw: Iterable[bytes] | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    error_after: int = 0
    break_after: int | None = None
    stall_after: int | None = None
    gates: Mapping[int, asyncio.Event] = field(default_factory=dict)
    never_answer: bool = False


@dataclass
class Asked:
    """One request as it came, and what became of it.

    Attributes:
        outcome: open, finished, refused, failed (told so in the stream), broken (by the
            stand-in), disconnected (by the client).
        spoken: pieces written so far.
    """

    headers: Mapping[str, str]
    body: dict[str, Any]
    outcome: str = "open"
    spoken: int = 0

    @property
    def characters(self) -> int:
        """What the real one would charge for."""
        return len(self.body["text"])


class FakeInworld(FakeService):
    """The server. Everything it holds may be read and changed while it runs.

    Attributes:
        voices, models: what it knows.
        asked: every request so far, in order.
    """

    def __init__(self, *, api_key: str = "aW53b3JsZDp0ZXN0") -> None:
        super().__init__()
        self.api_key = api_key
        self.voices = {"Ashley", "Dennis", "Hélène"}
        self.models = {"inworld-tts-1", "inworld-tts-1-max"}
        self.asked: list[Asked] = []
        self._answers: deque[Answer] = deque()

    @property
    def base_url(self) -> str:
        """What to use as its base URL."""
        return self.address

    def script(self, *answers: Answer) -> None:
        """Queue how the next texts are spoken."""
        self._answers.extend(answers)

    @property
    def charged(self) -> int:
        """Characters of all texts that it began to speak."""
        return sum(each.characters for each in self.asked if each.spoken)

    # Life.

    def _application(self) -> web.Application:
        app = web.Application()
        app.router.add_post(_PATH, self._speak)
        return app

    # Speaking.

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        record = Asked({name.lower(): value for name, value in request.headers.items()}, body)
        self.asked.append(record)
        self._notify()
        with self._answering(record):
            answer = self._answers.popleft() if self._answers else Answer()
            if answer.never_answer:
                await self.release.wait()
            refused = self._refused(record)
            if answer.status != 200 or refused is not None:
                record.outcome = "refused"
                code, message = refused or (13, "Something failed")
                status = _STATUSES[code] if refused else answer.status
                error = {"code": code, "message": message, "details": []}
                return web.json_response(error, status=status, headers=dict(answer.headers))
            return await self._stream(request, answer, record)

    def _refused(self, record: Asked) -> tuple[int, str] | None:
        body = record.body
        if record.headers.get("authorization") != f"Basic {self.api_key}":
            return 16, "Invalid credentials"
        if not 1 <= len(body.get("text", "")) <= 2_000:
            return 3, "Text must have between 1 and 2000 characters"
        if body.get("voiceId") not in self.voices:
            return 5, f"Unknown voice: {body.get('voiceId')} not found!"
        if body.get("modelId") not in self.models:
            return 5, f"Unknown model: {body.get('modelId')} not found!"
        return None

    async def _stream(
        self, request: web.Request, answer: Answer, record: Asked
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        config = record.body["audioConfig"]
        pieces = answer.pieces
        if pieces is None:
            pieces = usual_pieces(record.body["text"], config)
        lines = answer.raw or (line_of(piece, record) for piece in pieces)
        for number, line in enumerate(lines):
            if answer.error is not None and number == answer.error_after:
                break
            if number == answer.break_after:
                break
            if number == answer.stall_after:
                await self.release.wait()
            if number in answer.gates:
                await answer.gates[number].wait()
            await response.write(line)
            record.spoken += 1
            self._notify()
        if answer.error is not None:
            record.outcome = "failed"
            await response.write(orjson.dumps({"error": answer.error}) + b"\n")
        elif answer.break_after is not None:
            record.outcome = "broken"
            # Closing sends what is buffered and then ends the connection inside the body.
            if request.transport is not None:
                request.transport.close()
            return response
        else:
            record.outcome = "finished"
        await response.write_eof()
        return response


def line_of(piece: bytes, record: Asked) -> bytes:
    """One line of an answer."""
    usage = {"processedCharactersCount": record.characters, "modelId": record.body["modelId"]}
    result = {"audioContent": b64encode(piece).decode(), "usage": usage}
    return orjson.dumps({"result": result}) + b"\n"


def usual_pieces(text: str, config: Mapping[str, Any]) -> list[bytes]:
    """A piece for each word; of LINEAR16 each is a whole WAV file."""
    words = text.split() or [""]
    if config["audioEncoding"] == "LINEAR16":
        return [a_wav(samples_for(n), config["sampleRateHertz"]) for n in range(len(words))]
    return [b"%s %d %s|" % (config["audioEncoding"].encode(), n, b"~" * 64)
            for n in range(len(words))]  # fmt: skip


def samples_for(number: int) -> bytes:
    """The samples of the n-th word."""
    return struct.pack(f"<{_SAMPLES}h", *[(number + 1) * 100] * _SAMPLES)


def a_wav(samples: bytes, rate: int, *, channels: int = 1) -> bytes:
    """A WAV file as the standard library writes it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples)
    return file.getvalue()
