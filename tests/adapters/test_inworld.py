"""Inworld's voices: sounds as they come, one file of many, and each failure by its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from chuk.adapters.inworld import Inworld
from chuk.adapters.wav import streamed_header
from chuk.errors import (
    ChukError,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
)
from chuk.media.utterance import AudioEncoding, Utterance
from tests.fakes.inworld import Answer, FakeInworld, a_wav, samples_for

TEXT = "Three short words"


def an_utterance(**fields: Any) -> Utterance:
    """Something to say."""
    usual: dict[str, Any] = {
        "text": TEXT,
        "voice_id": "Ashley",
        "model_id": "inworld-tts-1",
        "encoding": AudioEncoding.MP3,
        "sample_rate": 24_000,
    }
    return Utterance(**{**usual, **fields})


WAV = an_utterance(encoding=AudioEncoding.LINEAR16)


@pytest.fixture
async def inworld() -> AsyncIterator[FakeInworld]:
    async with FakeInworld() as fake:
        yield fake


def a_voice(session: aiohttp.ClientSession, fake: FakeInworld, **options: Any) -> Inworld:
    """The adapter, pointed at the stand-in."""
    usual = {"base_url": fake.base_url, "api_key": fake.api_key, "silence": 10.0}
    return Inworld(session, **{**usual, **options})


@pytest.fixture
def voice(inworld: FakeInworld, session: aiohttp.ClientSession) -> Inworld:
    return a_voice(session, inworld)


async def sounds(voice: Inworld, utterance: Utterance | None = None) -> list[bytes]:
    """All that is spoken."""
    async with aclosing(voice.speak(utterance or an_utterance())) as pieces:
        return [piece async for piece in pieces]


async def test_it_asks_as_the_documentation_says(voice: Inworld, inworld: FakeInworld) -> None:
    await sounds(voice)
    (asked,) = inworld.asked
    assert asked.headers["authorization"] == f"Basic {inworld.api_key}"
    assert asked.body == {
        "text": TEXT,
        "voiceId": "Ashley",
        "modelId": "inworld-tts-1",
        "audioConfig": {"audioEncoding": "MP3", "sampleRateHertz": 24_000},
    }


async def test_each_piece_is_handed_on_before_the_next_one_is_made(
    voice: Inworld, inworld: FakeInworld
) -> None:
    gate = asyncio.Event()
    inworld.script(Answer(pieces=[b"one", b"two"], gates={1: gate}))
    async with aclosing(voice.speak(an_utterance())) as pieces:
        assert await anext(pieces) == b"one"
        gate.set()
        assert [piece async for piece in pieces] == [b"two"]


async def test_many_wav_files_become_one(voice: Inworld) -> None:
    spoken = await sounds(voice, WAV)
    assert len(spoken) == 3
    assert b"".join(spoken) == streamed_header(24_000) + b"".join(map(samples_for, range(3)))


async def test_pieces_without_a_header_of_their_own_belong_to_the_first(
    voice: Inworld, inworld: FakeInworld
) -> None:
    inworld.script(Answer(pieces=[a_wav(b"", 24_000), a_wav(b"ab", 24_000), b"cd", b""]))
    assert b"".join(await sounds(voice, WAV)) == streamed_header(24_000) + b"abcd"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"samples of nobody knows what"],
        [a_wav(b"ab", 24_000), a_wav(b"cd", 16_000)],
        [a_wav(b"abcd", 24_000, channels=2)],
        [a_wav(b"ab", 24_000)[:20]],
    ],
)
async def test_samples_that_do_not_fit_together_are_an_error(
    voice: Inworld, inworld: FakeInworld, pieces: list[bytes]
) -> None:
    inworld.script(Answer(pieces=pieces))
    with pytest.raises(ProviderError):
        await sounds(voice, WAV)


async def test_lines_may_come_in_any_cuts(voice: Inworld, inworld: FakeInworld) -> None:
    one, two = b'{"result":{"audioContent":"b25l"}}', b'{"result":{"audioContent":"dHdv"}}'
    whole = b"\n" + one + b'\r\n\n{"result":{}}\n' + two
    inworld.script(Answer(raw=[whole[i : i + 1] for i in range(len(whole))]), Answer(raw=[whole]))
    for _ in range(2):
        assert await sounds(voice) == [b"one", b"two"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderError),
        (401, ProviderError),
        (402, ProviderError),
        (403, ProviderError),
        (404, ModelUnavailable),
        (429, ModelUnavailable),
        (500, ProviderError),
        (503, ModelUnavailable),
        (504, ProviderTimeout),
        (302, ProviderError),
    ],
)
async def test_a_refusal_has_its_name(
    voice: Inworld, inworld: FakeInworld, status: int, error: type[ChukError]
) -> None:
    inworld.script(Answer(status=status))
    with pytest.raises(error) as caught:
        await sounds(voice)
    assert type(caught.value) is error
    assert "model" not in caught.value.message


async def test_our_own_key_is_never_the_users_401(
    inworld: FakeInworld, session: aiohttp.ClientSession
) -> None:
    with pytest.raises(ProviderError):
        await sounds(a_voice(session, inworld, api_key="wrong"))


async def test_it_says_when_to_come_back(voice: Inworld, inworld: FakeInworld) -> None:
    inworld.script(Answer(status=429, headers={"Retry-After": "7"}))
    with pytest.raises(ModelUnavailable) as caught:
        await sounds(voice)
    assert caught.value.details == {"retry_after": 7}


async def test_a_voice_that_nobody_has_is_not_available(voice: Inworld) -> None:
    with pytest.raises(ModelUnavailable):
        await sounds(voice, an_utterance(voice_id="Nobody"))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (3, ProviderError),
        (5, ModelUnavailable),
        (8, ModelUnavailable),
        (4, ProviderTimeout),
        (16, ProviderError),
        (99, ProviderError),
        ("8", ProviderError),
        ([], ProviderError),
    ],
)
@pytest.mark.parametrize("after", [0, 1])
async def test_an_error_inside_the_stream_is_one_too(
    voice: Inworld, inworld: FakeInworld, code: object, error: type[ChukError], after: int
) -> None:
    inworld.script(Answer(error={"code": code, "message": TEXT}, error_after=after))
    async with aclosing(voice.speak(an_utterance())) as pieces:
        for _ in range(after):
            assert await anext(pieces)
        with pytest.raises(error) as caught:
            await anext(pieces)
    assert TEXT not in caught.value.message


@pytest.mark.parametrize("after", [0, 2])
async def test_an_answer_that_breaks_off_is_no_whole_one(
    voice: Inworld, inworld: FakeInworld, after: int
) -> None:
    inworld.script(Answer(break_after=after))
    with pytest.raises(ProviderError):
        await sounds(voice)


@pytest.mark.parametrize(
    "line",
    [
        b"<html>\n",
        b"[]\n",
        b'{"result": null}\n',
        b'{"result": {"audioContent": 5}}\n',
        b'{"result": {"audioContent": "?"}}\n',
        b'{"result": {"audioContent": "\xc3\xa9"}}\n',
        b'{"result": {"audioContent": "YWJj"}',
    ],
)
async def test_nonsense_is_no_sound(voice: Inworld, inworld: FakeInworld, line: bytes) -> None:
    inworld.script(Answer(raw=[line]))
    with pytest.raises(ProviderError):
        await sounds(voice)


async def test_a_line_without_an_end_is_not_read_for_ever(
    voice: Inworld, inworld: FakeInworld
) -> None:
    inworld.script(Answer(raw=[b"x" * 2**20] * 64))
    with pytest.raises(ProviderError):
        await sounds(voice)


@pytest.mark.parametrize("answer", [Answer(never_answer=True), Answer(stall_after=1)])
async def test_silence_is_a_timeout(
    inworld: FakeInworld, session: aiohttp.ClientSession, answer: Answer
) -> None:
    inworld.script(answer)
    with pytest.raises(ProviderTimeout):
        await sounds(a_voice(session, inworld, silence=0.05))


async def test_nobody_there_is_an_unavailable_service(session: aiohttp.ClientSession) -> None:
    nowhere = Inworld(session, base_url="http://127.0.0.1:1", api_key="k", silence=5.0)
    with pytest.raises(ServiceUnavailable):
        await sounds(nowhere)


async def test_who_stops_listening_stops_the_voice(voice: Inworld, inworld: FakeInworld) -> None:
    inworld.script(Answer(stall_after=1))
    async with aclosing(voice.speak(an_utterance())) as pieces:
        await anext(pieces)
    await inworld.wait_for_disconnect()
