"""WAV files in a stream: one header without a length, and the others taken off."""

from __future__ import annotations

import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.adapters.wav import Samples, samples_of, streamed_header
from tests.fakes.inworld import a_wav

SAMPLES = b"\x01\x00\x02\x00\x03\x00"


@pytest.mark.parametrize("rate", [8_000, 12_345, 48_000])
def test_a_streamed_file_is_read_to_its_end_by_others(rate: int) -> None:
    with wave.open(io.BytesIO(streamed_header(rate) + SAMPLES)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, 1, 2)
        assert file.readframes(1_000) == SAMPLES


def test_headers_come_off() -> None:
    assert samples_of(a_wav(SAMPLES, 16_000)) == Samples(16_000, SAMPLES)
    assert samples_of(streamed_header(24_000) + SAMPLES) == Samples(24_000, SAMPLES)
    assert samples_of(SAMPLES) == Samples(0, SAMPLES)
    assert samples_of(b"") == Samples(0, b"")


def test_what_stands_around_the_samples_is_no_sound() -> None:
    plain = a_wav(SAMPLES, 16_000)
    note = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"
    assert samples_of(plain[:36] + note + plain[36:] + note).data == SAMPLES


@pytest.mark.parametrize(
    "piece",
    [
        a_wav(SAMPLES, 16_000)[:30],
        a_wav(SAMPLES, 16_000)[:36],
        a_wav(SAMPLES + b"\0\0", 16_000, channels=2),
        b"RIFF\0\0\0\0WAVEdata\x02\0\0\0ab",
        b"RIFF\0\0\0\0WAVE",
    ],
)
def test_a_header_that_says_too_little_or_something_else_is_refused(piece: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|samples"):
        samples_of(piece)


@given(st.binary(max_size=80))
def test_nothing_else_is_ever_raised(rest: bytes) -> None:
    for piece in (rest, b"RIFF\0\0\0\0WAVE" + rest, b"RIFF\0\0\0\0WAVEfmt " + rest):
        try:
            samples_of(piece)
        except ValueError:
            continue
