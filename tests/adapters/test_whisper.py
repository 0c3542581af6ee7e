"""The embedded recogniser, for real: it understands, and does not make words up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chuk.adapters.sound import ChildSoundDecoder
from chuk.adapters.whisper import MODEL, Whisper, embedded_model
from chuk.errors import ProviderTimeout, TranscriptionFailed
from chuk.media.formats import Format
from chuk.media.ports import Sound
from chuk.media.recording import Hints, Recording, Transcript
from tests.forks import run_once
from tests.harness import eventually
from tests.media.recordings import WORDS, noise, silence, speech, spoken_as

DECODER = ChildSoundDecoder(
    run_once=run_once, kept=frozenset(), written=None, most_seconds=1_500, timeout=60.0
)


@pytest.fixture
async def whisper() -> AsyncIterator[Whisper]:
    model = embedded_model()
    assert model is not None
    recogniser = Whisper(model, timeout=100.0)
    yield recogniser
    await recogniser.close()


async def heard(whisper: Whisper, folder: Path, content: bytes, form: str = "wav") -> Transcript:
    """What it hears in a recording."""
    path = folder / "upload"
    path.write_bytes(content)
    async with DECODER.decoded(Sound(path, Format(form))) as recording:
        return await whisper.recognised(recording, Hints(prompt="Animals."))


async def test_speech_becomes_text_with_its_times(whisper: Whisper, tmp_path: Path) -> None:
    transcript = await heard(whisper, tmp_path, spoken_as("mp3"), "mp3")
    assert all(word in transcript.text.lower() for word in WORDS), transcript.text
    assert (transcript.model, transcript.language) == (MODEL, "en")
    times = [moment for part in transcript.segments for moment in (part.start, part.end)]
    assert times == sorted(times) and times[-1] <= transcript.seconds + 0.01
    assert transcript.text == " ".join(part.text for part in transcript.segments)


async def test_silence_and_hissing_are_nothing_and_the_process_stays(
    whisper: Whisper, tmp_path: Path
) -> None:
    assert (await heard(whisper, tmp_path, silence(3))).text == ""
    process = whisper.process_id
    assert (await heard(whisper, tmp_path, noise(3))).text == ""
    assert whisper.process_id == process is not None


async def test_a_long_recording_is_heard_to_its_end(whisper: Whisper, tmp_path: Path) -> None:
    # Twice the sentence, with half a minute of nothing around each.
    wav = speech()
    pause = bytes(22_050 * 2 * 30)
    samples = pause + wav[44:] + pause + wav[44:] + pause
    size = len(samples).to_bytes(4, "little")
    transcript = await heard(whisper, tmp_path, wav[:40] + size + samples)
    assert transcript.seconds > 90
    assert transcript.text.lower().count("lazy dog") == 2, transcript.text
    assert transcript.segments[0].start >= 25 and transcript.segments[-1].end >= 55


async def test_whoever_does_not_wait_ends_the_work(whisper: Whisper, tmp_path: Path) -> None:
    path = tmp_path / "samples"
    path.write_bytes(speech()[44:] * 30)
    recording = Recording(path, None, 90.0, False)
    task = asyncio.create_task(whisper.recognised(recording, Hints()))
    await eventually(lambda: whisper.process_id is not None)
    process = whisper.process_id
    assert process is not None
    task.cancel()
    await asyncio.wait({task})
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_a_killed_process_is_a_failure_and_the_next_one_works(
    whisper: Whisper, tmp_path: Path
) -> None:
    path = tmp_path / "samples"
    path.write_bytes(speech()[44:] * 30)
    task = asyncio.create_task(whisper.recognised(Recording(path, None, 90.0, False), Hints()))
    await eventually(lambda: whisper.process_id is not None)
    assert whisper.process_id is not None
    os.kill(whisper.process_id, 9)
    with pytest.raises(TranscriptionFailed):
        await task
    assert (await heard(whisper, tmp_path, silence(1))).text == ""


async def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    model = embedded_model()
    assert model is not None
    whisper = Whisper(model, timeout=0.01)
    with pytest.raises(ProviderTimeout):
        await heard(whisper, tmp_path, silence(1))
    assert whisper.process_id is None
