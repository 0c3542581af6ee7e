"""Transcripts as subtitles, and samples out of a WAV file that comes in pieces."""

from __future__ import annotations

import io
import wave

import pytest

from chuk.api.openai.speech import Samples
from chuk.api.openai.transcriptions import subrip, web_vtt
from chuk.media.recording import Segment

SEGMENTS = (Segment(0.0, 1.5, " Good <b>day</b>."), Segment(3_599.9996, 3_661.04, "A --> B"))


def test_subrip_counts_its_blocks_from_one() -> None:
    assert subrip(SEGMENTS) == (
        "1\n00:00:00,000 --> 00:00:01,500\nGood <b>day</b>.\n\n"
        "2\n01:00:00,000 --> 01:01:01,040\nA --> B\n"
    )


def test_web_vtt_escapes_what_would_be_markup() -> None:
    assert web_vtt(SEGMENTS) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nGood &lt;b>day&lt;/b>.\n\n"
        "01:00:00.000 --> 01:01:01.040\nA --&gt; B\n"
    )


@pytest.mark.parametrize("size", [1, 7, 44, 45, 10_000])
def test_samples_are_found_however_the_file_is_cut(size: int) -> None:
    samples = bytes(range(256)) * 8
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(24_000)
        sound.writeframes(samples)
    whole = file.getvalue()
    reader = Samples()
    found = [reader.of(whole[start : start + size]) for start in range(0, len(whole), size)]
    assert b"".join(found) == samples
