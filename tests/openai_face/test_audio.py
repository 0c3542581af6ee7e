"""Recordings written down and texts spoken, by the embedded parts."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import av
import pytest
from openai import AsyncOpenAI, BadRequestError

from tests.conftest import StartServer
from tests.fakes.groq import FakeGroq
from tests.fakes.inworld import FakeInworld
from tests.harness import RunningServer
from tests.media.recordings import WORDS, noise, silence, spoken_as
from tests.openai_face.clients import client_of, receipts_of

SPOKEN: Any = {
    "mp3": ("mp3float", "audio/mpeg"),
    "opus": ("opus", "audio/ogg"),
    "wav": ("pcm_s16le", "audio/wav"),
}


@pytest.fixture
async def hearing(start_server: StartServer) -> AsyncIterator[AsyncOpenAI]:
    """A client at a server that listens through a stand-in."""
    async with FakeGroq() as groq:
        environ = {"GROQ_API_KEY": groq.api_key, "GROQ_BASE_URL": groq.base_url}
        async with start_server(**environ) as server, client_of(server) as found:
            yield found


async def test_a_recording_is_written_down(client: AsyncOpenAI, server: RunningServer) -> None:
    answer = await client.audio.transcriptions.create(
        model="whisper-1", file=("voice.m4a", spoken_as("m4a")), language="en", temperature=0.2
    )
    assert all(word in answer.text.lower() for word in WORDS)
    (receipt,) = await receipts_of(server)
    assert receipt["operation"] == "transcription"


async def test_it_comes_with_times_and_its_language(hearing: AsyncOpenAI) -> None:
    answer = await hearing.audio.transcriptions.create(
        model="whisper-1",
        file=("voice.wav", noise(2.2)),
        response_format="verbose_json",
        timestamp_granularities=["segment"],
    )
    assert (answer.language, float(answer.duration)) == ("english", 2.2)
    assert answer.segments
    (only,) = answer.segments
    assert (only.id, only.start, only.end, only.text) == (0, 0.0, 1.5, "Good morning.")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("text", "Good morning.\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:01,500\nGood morning.\n"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nGood morning.\n"),
    ],
)
async def test_it_comes_as_text_and_as_subtitles(
    hearing: AsyncOpenAI, form: Any, said: str
) -> None:
    answer = await hearing.audio.transcriptions.create(
        model="whisper-1", file=("voice.wav", noise(2.2)), response_format=form
    )
    assert answer == said


async def test_silence_has_no_words_in_any_form(client: AsyncOpenAI) -> None:
    sound = ("quiet.wav", silence(1.0))
    whole = await client.audio.transcriptions.create(
        model="whisper-1", file=sound, response_format="verbose_json"
    )
    assert whole.text == "" and not whole.segments
    subtitles = await client.audio.transcriptions.create(
        model="whisper-1", file=sound, response_format="vtt"
    )
    assert subtitles == "WEBVTT\n"


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities[]"),
        ({"stream": True}, "stream"),
        ({"language": "xx"}, "language"),
    ],
)
async def test_what_cannot_be_heard_is_refused(
    client: AsyncOpenAI, fields: dict[str, object], parameter: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.audio.transcriptions.create(  # type: ignore[call-overload]
            model="whisper-1", file=("quiet.wav", silence(1.0)), **fields
        )
    assert caught.value.param == parameter


async def test_what_is_no_recording_is_a_bad_request(client: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.audio.transcriptions.create(
            model="whisper-1", file=("notes.txt", b"These are words.")
        )
    assert caught.value.code == "unsupported_format"


async def test_a_text_is_spoken_in_every_form(client: AsyncOpenAI) -> None:
    for form, (codec, media_type) in SPOKEN.items():
        answer = await client.audio.speech.create(
            model="tts-1", voice="alloy", input="Three short words", response_format=form
        )
        assert answer.response.headers["content-type"] == media_type
        with av.open(io.BytesIO(answer.content)) as sound:
            assert sound.streams.audio[0].codec_context.name == codec
            assert sum(frame.samples for frame in sound.decode(audio=0)) > 24_000
    # Raw samples, at 24 kHz: nothing in them says so.
    answer = await client.audio.speech.create(
        model="gpt-4o-mini-tts", voice="nova", input="Three short words", response_format="pcm"
    )
    assert answer.response.headers["content-type"] == "audio/pcm"
    assert len(answer.content) % 2 == 0 and b"RIFF" not in answer.content[:64]
    assert 0.5 < len(answer.content) / 2 / 24_000 < 4


async def test_openais_voices_have_others_that_speak_for_them(
    start_server: StartServer,
) -> None:
    async with FakeInworld() as inworld:
        environ = {"INWORLD_API_KEY": inworld.api_key, "INWORLD_BASE_URL": inworld.base_url}
        async with start_server(**environ) as server, client_of(server) as client:
            for voice, speaks in (("alloy", "Ashley"), ("Dennis", "Dennis")):
                answer = await client.audio.speech.create(
                    model="tts-1-hd", voice=voice, input="Hello", response_format="wav"
                )
                assert answer.response.headers["x-voice"] == speaks


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"response_format": "flac"}, "response_format"),
        ({"speed": 2.0}, "speed"),
        ({"stream_format": "sse"}, "stream_format"),
        ({"input": " "}, "input"),
    ],
)
async def test_what_cannot_be_spoken_is_refused(
    client: AsyncOpenAI, fields: dict[str, object], parameter: str
) -> None:
    asked: dict[str, object] = {"model": "tts-1", "voice": "alloy", "input": "Hello", **fields}
    with pytest.raises(BadRequestError) as caught:
        await client.audio.speech.create(**asked)  # type: ignore[arg-type]
    assert caught.value.param == parameter
