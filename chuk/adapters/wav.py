"""WAV files in a stream: a header for a length that nobody knows yet, and headers taken off.

http://soundfile.sapp.org/doc/WaveFormat/
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_PCM = 1
_BITS = 16
# What writers of streams put where a length belongs; players then read on to the end.
_UNKNOWN = 0xFFFFFFFF
_HEAD = 12


@dataclass(frozen=True, slots=True)
class Samples:
    """What one WAV file holds.

    Attributes:
        sample_rate: hertz; 0 where there was no header.
        data: the samples, as they stood there.
    """

    sample_rate: int
    data: bytes


def streamed_header(sample_rate: int) -> bytes:
    """The 44 bytes before 16-bit mono samples whose number is not known yet.

    Both lengths are 2^32 - 1, which readers take as: up to the end.
    """
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        _UNKNOWN,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        1,
        sample_rate,
        sample_rate * _BITS // 8,
        _BITS // 8,
        _BITS,
        b"data",
        _UNKNOWN,
    )


def samples_of(piece: bytes) -> Samples:
    """Take the header off, if there is one.

    Raises:
        ValueError: a header that ends too early, or of something else than 16-bit mono PCM.
    """
    if piece[:4] != b"RIFF" or piece[8:_HEAD] != b"WAVE":
        return Samples(0, piece)
    place, rate = _HEAD, 0
    while place + 8 <= len(piece):
        name, size = struct.unpack_from("<4sI", piece, place)
        place += 8
        if name == b"data":
            # A stream's first header may say 0 or any large number.
            end = place + size if 0 < size <= len(piece) - place else len(piece)
            if not rate:
                break
            return Samples(rate, piece[place:end])
        if name == b"fmt ":
            rate = _sample_rate(piece, place)
        place += size + size % 2
    raise ValueError("not a WAV file of 16-bit mono samples")


def _sample_rate(piece: bytes, place: int) -> int:
    if len(piece) - place < 16:
        raise ValueError("the header ends too early")
    format_tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", piece, place)
    if (channels, bits) != (1, _BITS) or format_tag not in (_PCM, 0xFFFE):
        raise ValueError("other samples than 16-bit mono")
    return int(rate)
