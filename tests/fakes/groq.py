"""A stateful stand-in for Groq's transcriptions, over their real protocol.

    async with FakeGroq() as fake:
        fake.script(Answer(status=429, headers={"Retry-After": "7"}))
        ...  # point the code under test at fake.base_url with fake.api_key
        await fake.wait_for_disconnect()

Without a script it answers what `heard` says. It refuses what the real one refuses: a wrong key,
an unknown model, a file it does not know by its ending, an empty or too large one, a long prompt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from tests.fakes.service import FakeService

_PREFIX = "/openai/v1"
_ENDINGS = {"flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm"}
_LONGEST_PROMPT = 896
_KINDS = {401: "invalid_request_error", 429: "tokens", 498: "flex_capacity_exceeded"}


@dataclass
class Answer:
    """How one recording is answered. What is not said here goes as usual.

    Attributes:
        status, headers, message: a status other than 200 answers with an error.
        body, content_type: the answer's bytes instead of the usual ones.
        cut: the connection breaks in the middle of the answer.
        reset: it breaks before there is any.
        never_answer: not even headers, until `fake.release` is set.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "Something failed"
    body: bytes | None = None
    content_type: str = "application/json"
    cut: bool = False
    reset: bool = False
    never_answer: bool = False


@dataclass
class Asked:
    """One recording as it came, and what became of it.

    Attributes:
        fields: the form's other parts.
        outcome: open, finished, refused, broken (by the stand-in), disconnected (by the client).
    """

    headers: Mapping[str, str]
    fields: dict[str, str] = field(default_factory=dict)
    file_name: str = ""
    file: bytes = b""
    outcome: str = "open"


class FakeGroq(FakeService):
    """The server. Everything it holds may be read and changed while it runs.

    Attributes:
        heard: what is said in every recording: start, end and text of each part.
        language: as it names it.
        models: what it knows.
        most_bytes: the largest file it takes.
        asked: every recording so far, in order.
    """

    def __init__(self, *, api_key: str = "groq-test") -> None:
        super().__init__()
        self.api_key = api_key
        self.heard: list[tuple[float, float, str]] = [(0.0, 1.5, " Good morning.")]
        self.language = "English"
        self.models = {"whisper-large-v3", "whisper-large-v3-turbo"}
        self.most_bytes = 25 * 2**20
        self.asked: list[Asked] = []
        self._answers: deque[Answer] = deque()

    @property
    def base_url(self) -> str:
        """What to use as its base URL."""
        return self.address

    def script(self, *answers: Answer) -> None:
        """Queue how the next recordings are answered."""
        self._answers.extend(answers)

    async def wait_for_recordings(self, count: int = 1) -> None:
        """Wait until this many recordings have come."""
        await self.wait_until(lambda: len(self.asked) >= count)

    # Life.

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post(f"{_PREFIX}/audio/transcriptions", self._transcribe)
        app.router.add_get(_PREFIX + "/models/{model}", self._model)
        return app

    # Listening.

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        record = Asked({name.lower(): value for name, value in request.headers.items()})
        with self._answering(record):
            await _read(request, record)
            self.asked.append(record)
            self._notify()
            answer = self._answers.popleft() if self._answers else Answer()
            if answer.never_answer:
                await self.release.wait()
            refused = self._refused(record)
            if refused is not None or answer.status != 200:
                record.outcome = "refused"
                status, message = refused or (answer.status, answer.message)
                return _error(status, message, answer.headers)
            return await self._answered(request, answer, record)

    def _refused(self, record: Asked) -> tuple[int, str] | None:
        fields = record.fields
        if record.headers.get("authorization") != f"Bearer {self.api_key}":
            return 401, "Invalid API Key"
        if fields.get("model") not in self.models:
            return 404, f"The model `{fields.get('model')}` does not exist"
        if len(record.file) > self.most_bytes:
            return 413, "Request Entity Too Large"
        if record.file_name.rpartition(".")[2] not in _ENDINGS:
            return 400, f"file must be one of the following types: {sorted(_ENDINGS)}"
        if not record.file:
            return 400, "could not process file - is it a valid media file?"
        if len(fields.get("prompt", "")) > _LONGEST_PROMPT:
            return 400, f"prompt length must be {_LONGEST_PROMPT} characters or fewer"
        if not 0 <= float(fields.get("temperature", "0")) <= 1:
            return 400, "temperature must be between 0 and 1"
        return None

    async def _answered(
        self, request: web.Request, answer: Answer, record: Asked
    ) -> web.StreamResponse:
        whole = web.json_response(self._transcript(record))
        body = answer.body
        if body is None:
            assert isinstance(whole.body, bytes)
            body = whole.body
        if not (answer.cut or answer.reset):
            record.outcome = "finished"
            return web.Response(body=body, content_type=answer.content_type)
        record.outcome = "broken"
        response = web.StreamResponse(headers={"Content-Type": answer.content_type})
        assert request.transport is not None
        if answer.reset:
            request.transport.abort()
            return response
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        request.transport.close()
        return response

    def _transcript(self, record: Asked) -> dict[str, Any]:
        """What the real one answers; `json` has the text alone."""
        text = "".join(text for _, _, text in self.heard)
        groq = {"id": f"req_{len(self.asked):026d}"}
        if record.fields.get("response_format") != "verbose_json":
            return {"text": text, "x_groq": groq}
        segments = [
            {
                "id": number,
                "seek": 0,
                "start": start,
                "end": end,
                "text": said,
                "tokens": [50365, 2205, 2446, 13],
                "temperature": 0,
                "avg_logprob": -0.2,
                "compression_ratio": 0.8,
                "no_speech_prob": 1e-10,
            }
            for number, (start, end, said) in enumerate(self.heard)
        ]
        return {
            "task": "transcribe",
            "language": self.language,
            "duration": 12345.6,
            "text": text,
            "segments": segments,
            "x_groq": groq,
        }

    async def _model(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return _error(401, "Invalid API Key", {})
        name = request.match_info["model"]
        if name not in self.models:
            return _error(404, f"The model `{name}` does not exist", {})
        return web.json_response(
            {"id": name, "object": "model", "created": 1728413088, "owned_by": "OpenAI"}
        )


async def _read(request: web.Request, record: Asked) -> None:
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader) and part.name is not None
        if part.name == "file":
            record.file_name = part.filename or ""
            record.file = bytes(await part.read())
        else:
            record.fields[part.name] = await part.text()


def _error(status: int, message: str, headers: Mapping[str, str]) -> web.Response:
    kind = _KINDS.get(status, "internal_server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "code": kind}
    return web.json_response({"error": error}, status=status, headers=dict(headers))
