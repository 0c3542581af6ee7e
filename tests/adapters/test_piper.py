"""The embedded voice: real files, sentence by sentence, from a process that obeys."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import av
import pytest

from chuk.adapters.piper import VOICE, Piper, embedded_voice
from chuk.adapters.piper_child import passages
from chuk.errors import GenerationFailed, InvalidRequest
from chuk.media.utterance import TEXT_MAX, AudioEncoding, Utterance
from tests.harness import eventually

SENTENCE = "The quick brown fox jumps over the lazy dog."
LINEAR16, MP3, OGG_OPUS = AudioEncoding.LINEAR16, AudioEncoding.MP3, AudioEncoding.OGG_OPUS


@pytest.fixture(scope="module")
def model() -> Any:
    """The file of the embedded voice."""
    file = embedded_voice()
    assert file is not None
    return file


@pytest.fixture
async def voice(model: Any) -> AsyncIterator[Piper]:
    piper = Piper(model, silence=60.0)
    yield piper
    await piper.close()


def an_utterance(
    text: str = SENTENCE, encoding: AudioEncoding = LINEAR16, rate: int = 24_000
) -> Utterance:
    """Something to say."""
    return Utterance(text, "Ashley", "inworld-tts-1", encoding, rate)


async def spoken(voice: Piper, utterance: Utterance) -> bytes:
    """The whole file."""
    async with aclosing(voice.speak(utterance)) as pieces:
        return b"".join([piece async for piece in pieces])


def read(audio: bytes) -> tuple[str, int, float]:
    """The codec, the sample rate and the seconds of a file, all of it decoded."""
    with av.open(io.BytesIO(audio)) as file:
        stream = file.streams.audio[0]
        samples = sum(frame.samples for frame in file.decode(stream))
        return stream.codec_context.name, stream.rate, samples / stream.rate


async def test_each_encoding_is_a_real_file_at_the_rate_asked_for(voice: Piper) -> None:
    # One test for all, so that the voice is loaded once.
    for encoding, codec, rates in (
        (LINEAR16, "pcm_s16le", (8_000, 12_345, 22_050, 48_000)),
        (MP3, "mp3float", MP3.sample_rates or ()),
    ):
        for rate in rates:
            found = read(await spoken(voice, an_utterance(encoding=encoding, rate=rate)))
            assert found[:2] == (codec, rate)
            assert 1.5 < found[2] < 5
    for rate in OGG_OPUS.sample_rates or ():
        audio = await spoken(voice, an_utterance(encoding=OGG_OPUS, rate=rate))
        codec, decoded_at, seconds = read(audio)
        # Opus is always decoded at 48 kHz; its head says what went in (RFC 7845 §5.1).
        assert (codec, decoded_at) == ("opus", 48_000)
        head = audio.index(b"OpusHead")
        assert int.from_bytes(audio[head + 12 : head + 16], "little") == rate
        assert 1.5 < seconds < 5


async def test_the_first_sound_comes_before_the_text_is_spoken(voice: Piper) -> None:
    for encoding in AudioEncoding:
        async with aclosing(voice.speak(an_utterance(f"{SENTENCE} " * 4, encoding))) as sounds:
            pieces = [piece async for piece in sounds]
        assert len(pieces) >= 4
        assert len(pieces[0]) < sum(map(len, pieces)) / 2
        assert read(b"".join(pieces))[2] > 4 * 1.5


async def test_odd_texts_are_spoken_somehow(voice: Piper) -> None:
    symbols = ["!!! ??? ...", "👋🎉", "[[ x", "a\x00b\x1b[0m", "<b>&amp;</b>"]
    for text in (*symbols, "日本語のテキスト。", "1" * 40):
        assert read(await spoken(voice, an_utterance(text)))[2] > 0


async def test_a_text_without_anything_to_speak_is_refused_and_the_voice_stays(
    voice: Piper,
) -> None:
    await spoken(voice, an_utterance("Yes."))
    process = voice.process_id
    for text in ("\u200b", "\x00\x01", "\n"):
        with pytest.raises(InvalidRequest) as caught:
            await spoken(voice, an_utterance(text))
        assert "text" in caught.value.details["fields"]  # type: ignore[operator]
    assert len(await spoken(voice, an_utterance("Yes."))) > 1_000
    assert voice.process_id == process


async def test_who_stops_listening_ends_the_process_and_the_next_gets_a_new_one(
    voice: Piper,
) -> None:
    async with aclosing(voice.speak(an_utterance(f"{SENTENCE} " * 40))) as sounds:
        await anext(sounds)
        process = voice.process_id
        assert process is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert len(await spoken(voice, an_utterance("Yes."))) > 1_000


async def test_a_process_that_dies_in_the_middle_is_an_error_and_is_replaced(
    voice: Piper,
) -> None:
    async with aclosing(voice.speak(an_utterance(f"{SENTENCE} " * 40))) as sounds:
        await anext(sounds)
        assert voice.process_id is not None
        os.kill(voice.process_id, signal.SIGKILL)
        with pytest.raises(GenerationFailed):
            [sound async for sound in sounds]
    assert len(await spoken(voice, an_utterance("Yes."))) > 1_000


async def test_silence_ends_it(model: Any) -> None:
    hurried = Piper(model, silence=0.001)
    with pytest.raises(GenerationFailed):
        await spoken(hurried, an_utterance())
    await eventually(lambda: hurried.process_id is None)
    await hurried.close()


def test_it_says_who_speaks(model: Any) -> None:
    piper = Piper(model, silence=1.0)
    assert piper.voice_for("Ashley") == piper.model_for("inworld-tts-1") == VOICE
    assert piper.process_id is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Short.", ["Short."]),
        (f"{'a ' * 90}end. {'b ' * 50}", [f"{'a ' * 90}end. ", f"{'b ' * 50}".strip()]),
        (f"{'a' * 150}, {'b' * 100}", [f"{'a' * 150}, ", "b" * 100]),
        (f"{'a' * 150} {'b' * 100}", [f"{'a' * 150} ", "b" * 100]),
        ("a" * 450, ["a" * 200, "a" * 200, "a" * 50]),
        (f"{'字' * 150}。{'字' * 100}", [f"{'字' * 150}。", "字" * 100]),
        ("[[h]] \x07x", ["[ [h]]  x"]),
        (" \n ", []),
    ],
)
def test_long_texts_are_cut_where_it_disturbs_least(text: str, parts: list[str]) -> None:
    assert list(passages(text)) == parts


def test_no_part_is_long_and_nothing_is_lost() -> None:
    text = "".join(f"Word{n}{'.' if n % 13 == 0 else ','} " for n in range(250))[:TEXT_MAX]
    found = list(passages(text))
    assert max(map(len, found)) <= 200
    assert " ".join(found).split() == text.split()
