"""Recordings are decoded in a process of their own, and measured by that."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from chuk.adapters.groq import READS
from chuk.adapters.sound import ChildSoundDecoder
from chuk.errors import CorruptFile, TranscriptionFailed
from chuk.media.formats import Format
from chuk.media.ports import Sound
from chuk.media.recording import Recording
from tests.forks import run_once
from tests.media.recordings import (
    FORMATS,
    lying_about_its_length,
    mute_video,
    noise,
    silence,
    speech,
    spoken_as,
)


def a_decoder(
    kept: frozenset[Format] = frozenset(),
    written: Format | None = None,
    *,
    most_seconds: int = 1_500,
    timeout: float = 60.0,
) -> ChildSoundDecoder:
    return ChildSoundDecoder(
        run_once=run_once, kept=kept, written=written, most_seconds=most_seconds, timeout=timeout
    )


async def measured(folder: Path, content: bytes, form: str, **options: int) -> Recording:
    """How a recording is measured."""
    path = folder / "upload"
    path.write_bytes(content)
    async with a_decoder(**options).decoded(Sound(path, Format(form))) as recording:
        return recording


@pytest.mark.parametrize("form", FORMATS)
async def test_every_format_is_measured_by_what_it_holds(tmp_path: Path, form: str) -> None:
    recording = await measured(tmp_path, spoken_as(form), form)
    # Some codecs fill their first and last frame up.
    assert recording.seconds == pytest.approx((len(speech()) - 44) / 2 / 22_050, abs=0.1)
    assert not recording.is_silent


async def test_what_a_header_says_does_not_count(tmp_path: Path) -> None:
    recording = await measured(tmp_path, lying_about_its_length(silence(2.5)), "wav")
    assert recording.seconds == pytest.approx(2.5, abs=0.01)
    assert recording.started_seconds == 3


async def test_the_recogniser_gets_samples_that_are_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(spoken_as("mp3"))
    async with a_decoder().decoded(Sound(path, Format.MP3)) as recording:
        assert recording.format is None and recording.path != path
        assert recording.path.stat().st_size == round(recording.seconds * 16_000) * 2
    assert path.exists() and not recording.path.exists()


async def test_a_format_that_the_recogniser_reads_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(spoken_as("ogg"))
    async with a_decoder(READS, Format.FLAC).decoded(Sound(path, Format.OGG)) as recording:
        assert (recording.path, recording.format) == (path, Format.OGG)


async def test_another_becomes_flac(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(spoken_as("aac"))
    async with a_decoder(READS, Format.FLAC).decoded(Sound(path, Format.AAC)) as recording:
        assert recording.format is Format.FLAC
        with av.open(recording.path) as file:
            samples = sum(frame.samples for frame in file.decode(audio=0))
    assert samples == round(recording.seconds * 16_000)


async def test_silence_is_known_and_hissing_is_not_silence(tmp_path: Path) -> None:
    assert (await measured(tmp_path, silence(2), "wav")).is_silent
    assert not (await measured(tmp_path, noise(2), "wav")).is_silent


async def test_no_more_is_decoded_than_shows_that_it_is_too_long(tmp_path: Path) -> None:
    recording = await measured(tmp_path, silence(60), "wav", most_seconds=5)
    assert 6 <= recording.seconds < 10


async def test_a_video_is_heard_and_a_mute_one_is_refused(tmp_path: Path) -> None:
    video = spoken_as("webm", with_pictures=True)
    assert (await measured(tmp_path, video, "webm")).seconds > 2
    with pytest.raises(CorruptFile):
        await measured(tmp_path, mute_video(), "webm")


@pytest.mark.parametrize("form", FORMATS)
async def test_a_damaged_file_is_a_corrupt_one(tmp_path: Path, form: str) -> None:
    with pytest.raises(CorruptFile):
        await measured(tmp_path, b"\0\1\2\3" * 2_000, form)
    with pytest.raises(CorruptFile):
        await measured(tmp_path, spoken_as(form)[:30], form)


async def test_a_playlist_opens_nothing_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "other.mp3").write_bytes(spoken_as("mp3"))
    playlist = f"#EXTM3U\n#EXTINF:3,\n{tmp_path}/other.mp3\n#EXT-X-ENDLIST\n".encode()
    for form in FORMATS:
        with pytest.raises(CorruptFile):
            await measured(tmp_path, playlist, form)


async def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(speech())
    with pytest.raises(TranscriptionFailed):
        async with a_decoder(timeout=0.001).decoded(Sound(path, Format.WAV)):
            pass
