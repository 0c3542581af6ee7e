"""Transcription over HTTP: one shape from both recognisers, and a reason for every refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from chuk.api.keys import LEDGER
from tests.conftest import StartServer
from tests.credits.people import ask, receipts_of, rich
from tests.fakes.groq import Answer, FakeGroq
from tests.harness import RunningServer
from tests.media.recordings import WORDS, noise, silence, spoken_as

PATH = "/v1/ai/transcribe-audio"


@pytest.fixture
async def groq() -> AsyncIterator[FakeGroq]:
    async with FakeGroq() as fake:
        yield fake


@pytest.fixture
async def hearing(start_server: StartServer, groq: FakeGroq) -> AsyncIterator[RunningServer]:
    """A server that listens through the stand-in."""
    async with start_server(GROQ_API_KEY=groq.api_key, GROQ_BASE_URL=groq.base_url) as running:
        yield running


def a_form(content: bytes, name: str = "voice.m4a", **fields: str) -> aiohttp.FormData:
    """An upload as the released app makes it."""
    form = aiohttp.FormData(quote_fields=False)
    for field, value in fields.items():
        form.add_field(field, value)
    form.add_field("audio_file", content, filename=name, content_type="application/octet-stream")
    return form


async def send(
    server: RunningServer,
    user: UUID,
    content: bytes,
    name: str = "voice.m4a",
    *,
    status: int = 200,
    **fields: str,
) -> Any:
    """The answer to a recording."""
    form = a_form(content, name, **fields)
    return await ask(server, user, PATH, method="POST", status=status, data=form)


async def test_the_embedded_recogniser_is_free_and_answers_in_the_agreed_shape(
    server: RunningServer,
) -> None:
    user = uuid4()
    answer = await send(server, user, spoken_as("m4a"))
    assert set(answer) == {"text", "x_groq"}
    metadata = answer["x_groq"]["metadata"]
    assert set(metadata) == {"model", "duration", "language", "segments"}
    assert all(word in answer["text"].lower() for word in WORDS), answer
    assert (metadata["model"], metadata["language"]) == ("whisper-tiny.en", "en")
    assert 2 < metadata["duration"] < 4
    assert metadata["segments"] and set(metadata["segments"][0]) == {"start", "end", "text"}
    (receipt,) = await receipts_of(server, user)
    assert (receipt["charged_eur"], receipt["total_tokens"]) == (0, 3)


async def test_groq_answers_in_the_same_shape_and_is_paid_for(
    hearing: RunningServer, groq: FakeGroq
) -> None:
    user = await rich(hearing)
    answer = await send(
        hearing, user, noise(2.2), "voice.wav", language="EN", prompt="Names", temperature="0.2"
    )
    assert answer == {
        "text": "Good morning.",
        "x_groq": {
            "metadata": {
                "model": "whisper-large-v3-turbo",
                "duration": 2.2,
                "language": "en",
                "segments": [{"start": 0.0, "end": 1.5, "text": "Good morning."}],
            }
        },
    }
    sent = groq.asked[0].fields
    assert (sent["language"], sent["prompt"], sent["temperature"]) == ("en", "Names", "0.2")
    (receipt,) = await receipts_of(hearing, user)
    assert (receipt["operation"], receipt["charged_eur"]) == ("transcription", 0.000031)


async def test_empty_fields_are_as_good_as_none(hearing: RunningServer, groq: FakeGroq) -> None:
    user = await rich(hearing)
    await send(hearing, user, noise(1), language="", prompt=" ", temperature="", model="other")
    assert set(groq.asked[0].fields) == {"model", "response_format", "temperature"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "1.1"),
        ("temperature", "-0.1"),
        ("temperature", "warm"),
        ("temperature", "nan"),
        ("language", "english"),
        ("language", "xx"),
        ("prompt", "x" * 4_001),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    hearing: RunningServer, groq: FakeGroq, field: str, value: str
) -> None:
    answer = await send(hearing, uuid4(), noise(1), status=400, **{field: value})
    assert answer["error"]["code"] == "INVALID_REQUEST"
    assert field in answer["error"]["details"]["fields"]
    assert groq.asked == []


async def test_the_embedded_recogniser_says_that_it_knows_only_english(
    server: RunningServer,
) -> None:
    error = (await send(server, uuid4(), noise(1), status=400, language="de"))["error"]
    assert error["details"]["fields"] == {"language": ["Only en is understood on this server."]}


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(500), "song.mp3", 415, "UNSUPPORTED_FORMAT"),
        (b"just words", "song.mp3", 415, "UNSUPPORTED_FORMAT"),
        (b"", "song.mp3", 400, "CORRUPT_FILE"),
        (bytes(range(256)) * 40, "song.mp3", 400, "CORRUPT_FILE"),
        (spoken_as("m4a")[:2_000], "song.m4a", 400, "CORRUPT_FILE"),
    ],
)
async def test_what_cannot_be_heard_is_refused(
    server: RunningServer, content: bytes, name: str, status: int, code: str
) -> None:
    answer = await send(server, uuid4(), content, name, status=status)
    assert answer["error"]["code"] == code


async def test_silence_is_an_empty_text(server: RunningServer) -> None:
    answer = await send(server, uuid4(), silence(2), "voice.txt")
    assert answer["text"] == "" and answer["x_groq"]["metadata"]["segments"] == []


async def test_a_video_is_heard(server: RunningServer) -> None:
    answer = await send(server, uuid4(), spoken_as("webm", with_pictures=True), "clip.webm")
    assert "brown fox" in answer["text"].lower()


async def test_another_part_name_is_told(server: RunningServer) -> None:
    form = aiohttp.FormData()
    form.add_field("file", noise(1), filename="a.wav")
    answer = await ask(server, uuid4(), PATH, method="POST", status=400, data=form)
    assert answer["error"]["details"]["fields"] == {"audio_file": ["Missing."]}


async def test_the_limits_of_size_and_length_are_told(
    start_server: StartServer, groq: FakeGroq
) -> None:
    async with start_server(
        GROQ_API_KEY=groq.api_key,
        GROQ_BASE_URL=groq.base_url,
        CHUK_MEDIA_AUDIO_MAX_BYTES="100000",
        CHUK_MEDIA_AUDIO_MAX_SECONDS="2",
    ) as server:
        long = (await send(server, uuid4(), silence(4), status=413))["error"]
        assert (long["code"], long["details"]["max_duration_seconds"]) == ("FILE_TOO_LARGE", 2)
        large = (await send(server, uuid4(), bytes(100_001), status=413))["error"]
        assert large["details"]["max_size_bytes"] == 100_000
    assert groq.asked == []


async def test_who_cannot_pay_is_told_what_for(hearing: RunningServer, groq: FakeGroq) -> None:
    error = (await send(hearing, uuid4(), noise(1), status=402))["error"]
    assert (error["code"], error["details"]["operation"]) == (
        "INSUFFICIENT_CREDITS",
        "transcription",
    )
    assert groq.asked == []


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Answer(status=401), 502, "PROVIDER_ERROR"),
        (Answer(status=429, headers={"Retry-After": "9"}), 503, "MODEL_UNAVAILABLE"),
        (Answer(status=498), 503, "MODEL_UNAVAILABLE"),
        (Answer(status=413), 413, "FILE_TOO_LARGE"),
        (Answer(status=400), 502, "TRANSCRIPTION_FAILED"),
        (Answer(body=b"nonsense"), 502, "TRANSCRIPTION_FAILED"),
    ],
)
async def test_a_failure_upstream_has_its_code_and_costs_nothing(
    hearing: RunningServer, groq: FakeGroq, answer: Answer, status: int, code: str
) -> None:
    groq.script(answer)
    user = await rich(hearing)
    error = (await send(hearing, user, noise(1), status=status))["error"]
    assert error["code"] == code
    assert error["details"].get("retry_after") == (9 if "Retry-After" in answer.headers else None)
    (receipt,) = await receipts_of(hearing, user)
    assert (receipt["charged_eur"], receipt["outcome"]) == (0, "failed")
    assert (await hearing.app[LEDGER].purse(user)).held == 0


async def test_a_client_that_leaves_is_not_charged(hearing: RunningServer, groq: FakeGroq) -> None:
    groq.script(Answer(never_answer=True))
    user = await rich(hearing)
    task = asyncio.create_task(send(hearing, user, noise(1)))
    await groq.wait_for_recordings()
    task.cancel()
    await asyncio.wait({task})
    await groq.wait_for_disconnect()
    ledger = hearing.app[LEDGER]
    async with asyncio.timeout(30):
        while (await ledger.purse(user)).held:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (receipt,) = await receipts_of(hearing, user)
    assert (receipt["charged_eur"], receipt["outcome"]) == (0, "cancelled")


async def test_the_limit_of_requests_is_its_own(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_AUDIO="1") as server:
        user = uuid4()
        await send(server, user, b"", status=400)
        error = (await send(server, user, b"", status=429))["error"]
        assert (error["code"], error["details"]["limit"]) == ("RATE_LIMITED", 1)


async def test_the_configuration_tells_who_listens(
    server: RunningServer, hearing: RunningServer
) -> None:
    free = await ask(server, uuid4(), "/v1/ai/config")
    paid = await ask(hearing, uuid4(), "/v1/ai/config")
    for answer in (free, paid):
        assert answer["features"]["transcription"] is True
        assert answer["limits"]["recording_max_seconds"] == 1_500
        assert {"mp3", "wav", "m4a", "flac", "ogg", "webm"} <= set(answer["formats"]["recordings"])
    assert free["prices"]["transcription_per_second_eur"] == 0
    assert paid["prices"]["transcription_per_second_eur"] == 0.0000103


async def test_a_recording_can_be_converted_too(hearing: RunningServer) -> None:
    form = aiohttp.FormData()
    form.add_field("file", noise(2.2), filename="voice.wav")
    user = await rich(hearing)
    answer = await ask(hearing, user, "/v1/ai/convert-file", method="POST", data=form)
    assert "Good morning." in answer["markdown"]
    charged = {each["operation"]: each["charged_eur"] for each in await receipts_of(hearing, user)}
    assert charged == {"conversion": 0, "transcription": 0.000031}


async def test_nothing_that_was_said_or_named_is_logged(
    hearing: RunningServer, groq: FakeGroq, capfd: pytest.CaptureFixture[str]
) -> None:
    groq.heard = [(0.0, 1.0, "a very private matter")]
    user = await rich(hearing)
    await send(hearing, user, noise(1), "diary.wav", prompt="Secretum")
    groq.script(Answer(status=400, message="a very private matter"))
    await send(hearing, user, noise(1), "diary.wav", prompt="Secretum", status=502)
    logged = "".join(capfd.readouterr())
    assert not [word for word in ("private", "diary", "Secretum") if word in logged]
